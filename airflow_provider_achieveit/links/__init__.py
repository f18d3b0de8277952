"""AchieveIt links in the UI of Airflow."""
