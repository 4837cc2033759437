"""How well a recording is forecast: played through a forecaster, and scored beside baselines."""
