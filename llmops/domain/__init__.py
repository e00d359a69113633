"""The words everything else uses; standard library only."""
