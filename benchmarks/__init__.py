"""What `retrace bench` runs, peers included."""
