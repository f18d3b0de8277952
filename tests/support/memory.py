"""The peak memory of a program, as it tells of itself."""

#: The first lines of a program: `peak()` is how many MB of memory it took at most. Not by `getrusage`, which also
#: counts what the process had that started it. Linux alone knows this.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
"""
