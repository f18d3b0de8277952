"""AchieveIt sensors for Airflow."""
