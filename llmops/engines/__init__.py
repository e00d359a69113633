"""What each server can do, what memory it takes, how it is started."""
