"""The store's migrations, run by every service at start under an advisory lock."""
