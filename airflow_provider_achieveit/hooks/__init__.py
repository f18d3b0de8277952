"""AchieveIt hooks for Airflow."""
