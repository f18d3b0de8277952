"""Apache Airflow provider that lands AchieveIt plans in a data lake."""

__version__ = "0.2.0"
