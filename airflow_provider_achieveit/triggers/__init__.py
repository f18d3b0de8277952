"""AchieveIt triggers for Airflow."""
