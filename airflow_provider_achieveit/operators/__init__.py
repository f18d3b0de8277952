"""AchieveIt operators for Airflow."""
