"""The APIs of ServiceStage and IAM."""
