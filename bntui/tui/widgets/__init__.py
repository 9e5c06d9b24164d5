"""What the views and the app are made of on the screen, whatever it shows."""
