"""Made-up plan items: deterministic for a seed and a plan id, realistic in shape, 2 to 3 kB each as JSON."""

# ruff: noqa: S311, SIM905 - nothing here is secret, and a vocabulary reads better as text than as a list

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Item = dict[str, Any]
T = TypeVar("T")

#: No generated time is as late as this: whatever is edited afterwards is newer.
GENERATED_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)

LEVELS = ("Goal", "Objective", "Strategy", "Action")
STATUSES = ("Not Started", "On Track", "At Risk", "Off Track", "Achieved", "Not Achieved", "Canceled")
FREQUENCIES = ("NotRequired", "Daily", "Weekly", "Biweekly", "Monthly", "Quarterly")

_VERBS = "Grow Improve Reduce Launch Expand Review Strengthen Simplify Migrate Renew Réviser Überprüfen".split()
_THINGS = (
    "revenue,patient satisfaction,cycle time,onboarding,the Zürich office,customer retention,naïve forecasts,"
    "energy use,Café São Paulo,staff training,東京 partnerships,grant funding,data quality 📈,the façade,"
    "community outreach,supplier contracts,waiting times,digital services,R&D spending,Ελληνικά materials"
).split(",")
_WORDS = (
    "the a of to and in for with by on from across within per each every our their this that team teams quarter annual "
    "monthly report review budget forecast target baseline owner stakeholder region campus department service quality "
    "process improvement measure outcome impact strategy alignment delivery milestone risk issue decision action plan "
    "progress update status evidence survey result increase decrease maintain support develop implement evaluate "
    "coordinate communicate approve fund hire train equip audit publish renew negotiate consolidate automate document "
    "größer élan señal übermäßig naïve résumé façade 目標 進捗 план отчёт στόχος €5m ½ … “quoted” R&D <10% 95%"
).split()
# A random byte picks a word: a hundred times faster than asking for a random choice each time.
_WORD_OF_BYTE = [_WORDS[byte % len(_WORDS)] for byte in range(256)]
_FIRST = "Ana Björn Chloé Dmitri Elif Fatima Grace Hiroshi Imani José Katarzyna Liam Mei Noor Olga Priya".split()
_LAST = "Anders Brontë Costa Dvořák Eriksson Fernández Güneş Haddad Ito Jensen Kowalski Lindqvist O'Neil Smith".split()
_TEAMS = ("Finance", "Operations", "People & Culture", "IT", "Quality", "Förderung", "Board", "Marketing")
_TAGS = "2026,priority,board,grant-funded,équité,safety,ESG,pilot,on hold,戦略,risk,IT".split(",")
_COLORS = ("#d64545", "#e9b949", "#3f9142", "#2680c2")

_EPOCH = datetime(2023, 1, 1, tzinfo=UTC)
_TICKS_PER_DAY = 86_400 * 10**7
_GENERATED_DAYS = (GENERATED_BEFORE - _EPOCH).days
# Formatting a date costs more than everything else about a time, so every day is formatted once.
_DAYS = [(_EPOCH + timedelta(days=day)).strftime("%Y-%m-%dT") for day in range(_GENERATED_DAYS + 1_000)]


def timestamp(day: int, ticks: int) -> str:
    """A time as a .NET service writes it, with seven digits of a second.

    Args:
        day: Days since the first day of 2023.
        ticks: Units of 100 ns since midnight.
    """
    seconds, fraction = divmod(ticks, 10**7)
    return f"{_DAYS[day]}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:07d}Z"


def _guid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def plan_name(plan_id: str, seed: int) -> str:
    """The name that a generated plan carries in every item."""
    rng = random.Random(f"{seed}:{plan_id}:name")
    kind = rng.choice(("Strategic Plan", "Operating Plan", "Plan stratégique", "Zielplan"))
    return f"{kind} {rng.randint(2024, 2029)}"


def generate_items(plan_id: str, name: str, seed: int) -> Iterator[tuple[int, Item]]:
    """Yield the items of a plan with their depth in its tree, for ever; a longer plan begins like a shorter one.

    Args:
        plan_id: The plan to generate.
        name: The plan's name.
        seed: Another seed gives other items and other ids.
    """
    return _Generator(plan_id, name, seed).items()


class _Generator:
    """The people, tags and levels of one plan and the random numbers that its items come from."""

    def __init__(self, plan_id: str, name: str, seed: int) -> None:
        rng = self.rng = random.Random(f"{seed}:{plan_id}")
        self.plan_id, self.plan_name = plan_id, name
        self.level_ids = [_guid(rng) for _ in LEVELS]
        organization = _guid(rng)
        self.tags = [{"id": _guid(rng), "organizationId": organization, "name": tag} for tag in _TAGS]
        names = rng.sample([f"{first} {last}" for first in _FIRST for last in _LAST], 40)
        self.users = [{"id": _guid(rng), "name": user, "type": "User"} for user in names]
        self.people = self.users + [{"id": _guid(rng), "name": team, "type": "Team"} for team in _TEAMS]
        self.sources = [
            (_guid(rng), f"{plan} {year}") for plan in ("Enterprise Plan", "Région") for year in (2025, 2026)
        ]

    def items(self) -> Iterator[tuple[int, Item]]:
        random_unit = self.rng.random
        chain: list[tuple[str, str]] = []  # id and name of the newest item at each depth
        depth = 0
        while True:
            item = self._item(depth, chain)
            del chain[depth:]
            chain.append((item["id"], item["name"]))
            yield depth, item
            # Mostly one level down until the actions, then siblings, then back up: a few goals and many actions.
            step = random_unit()
            if depth < 3 and step < 0.75:
                depth += 1
            elif depth == 3 and step > 0.8:
                depth = 2 if step < 0.93 else 1 if step < 0.99 else 0

    def _text(self, words: int) -> str:
        return " ".join(map(_WORD_OF_BYTE.__getitem__, self.rng.randbytes(words)))

    def _pick(self, pool: Sequence[T]) -> T:
        return pool[int(self.rng.random() * len(pool))]  # random.choice() is three times as slow

    def _some(self, pool: list[Item], fewer_than: int) -> list[Item]:
        start = int(self.rng.random() * (len(pool) - fewer_than))
        return pool[start : start + int(self.rng.random() * fewer_than)]

    def _item(self, depth: int, chain: list[tuple[str, str]]) -> Item:
        rng, pick = self.rng, self._pick
        chance = rng.random
        name = f"{pick(_VERBS)} {pick(_THINGS)} {self._text(1 + int(chance() * 4))}"
        aligned = pick(chain) if chain and chance() < 0.5 else (None, None)
        dependent = chain[-1] if chain and chance() < 0.15 else (None, None)
        source = pick(self.sources) if chance() < 0.15 else (None, None)
        status = int(chance() * len(STATUSES))
        frequency = pick(FREQUENCIES)
        metric = chance() < 0.6
        advanced = metric and chance() < 0.3
        target = int(chance() * 100_000)
        owner = pick(self.users) if chance() < 0.9 else {"id": None, "name": None}
        assigner = pick(self.users) if chance() < 0.8 else {"id": None, "name": None}
        created = int(chance() * _GENERATED_DAYS)
        updated = created + int(chance() * (_GENERATED_DAYS - created))
        begin = created + int(chance() * 200)
        commented, progressed = chance() < 0.4, chance() < 0.5
        return {
            "id": _guid(rng),
            "sourceId": _guid(rng),
            "planId": self.plan_id,
            "planName": self.plan_name,
            "sourcePlanId": source[0],
            "sourcePlanName": source[1],
            "alignsTo": aligned[1],
            "alignsToId": aligned[0],
            "dependentOn": dependent[1],
            "dependentOnId": dependent[0],
            "levelId": self.level_ids[depth],
            "level": LEVELS[depth],
            "name": name,
            "indentedName": "  " * depth + name,
            "description": self._description(24 + 16 * (not commented) + 16 * (not progressed)),
            "status": status,
            "statusName": STATUSES[status],
            "start": _DAYS[begin] + "00:00:00Z" if chance() < 0.85 else None,
            "due": _DAYS[begin + int(chance() * 700)] + "00:00:00Z" if chance() < 0.8 else None,
            "created": timestamp(created, int(chance() * _TICKS_PER_DAY)),
            "hasMetric": metric,
            "hasAdvancedMetric": advanced,
            "units": int(chance() * 4) if metric else None,
            "detail": int(chance() * 3) if metric else None,
            "baseline": str(target // 2) if metric else "0",
            "target": f"{target}.{int(chance() * 100):02d}" if metric else "0",
            "currentValue": f"{(chance() - 0.1) * target:.4f}" if metric else "0",
            "advancedMetricGoals": self._metric_goals() if advanced else [],
            # From the day after, so that nothing was updated before it was created.
            "lastUpdated": timestamp(min(updated + 1, _GENERATED_DAYS - 1), int(chance() * _TICKS_PER_DAY)),
            "assignedToId": owner["id"],
            "assignedToFullName": owner["name"],
            "assignedById": assigner["id"],
            "assignedByFullName": assigner["name"],
            "members": self._some(self.people, 4),
            "admins": self._some(self.people, 3),
            "updateFrequency": frequency,
            "updateFrequencyDescription": frequency,
            "isPastDue": chance() < 0.2,
            "lateUpdates": int(chance() * 3),
            "pendingUpdates": int(chance() * 2),
            "updates": int(chance() * 40),
            "lastCommentId": _guid(rng) if commented else None,
            "lastComment": self._text(12) if commented else None,
            "lastUpdateCommentId": _guid(rng) if progressed else None,
            "lastUpdateComment": self._text(12) if progressed else None,
            "files": int(chance() * 4),
            "checklists": self._checklists() if chance() < 0.2 else [],
            "tags": self._some(self.tags, 4),
            "isOrphan": chance() < 0.03,
        }

    def _description(self, words: int) -> str:
        points = "".join(f"<li>{self._text(6)}</li>" for _ in range(2))
        return f'<p>{self._text(words)} <a href="https://example.com/?a=1&amp;b=2">link</a></p>\n<ul>{points}</ul>'

    def _metric_goals(self) -> list[Item]:
        rng = self.rng
        return [
            {
                "goalId": _guid(rng),
                "goalName": self._pick(STATUSES),
                "goalColor": color,
                "metricBucketValue": round(rng.random() * 1_000, 2),
                "sortOrder": order,
            }
            for order, color in enumerate(_COLORS[: 1 + int(rng.random() * 3)])
        ]

    def _checklists(self) -> list[Item]:
        rng = self.rng
        return [
            {
                "id": _guid(rng),
                "name": self._pick(_THINGS),
                "sortIndex": 0,
                "items": [
                    {
                        "id": _guid(rng),
                        "name": self._text(4),
                        "sortIndex": index,
                        "doneOn": timestamp(int(rng.random() * _GENERATED_DAYS), 0) if rng.random() < 0.5 else None,
                    }
                    for index in range(int(rng.random() * 4))
                ],
            }
        ]
