"""The AchieveIt REST API without Airflow: client, settings, plan version, errors.

Nothing is imported here, so that naming an error class does not load `requests`.
"""
