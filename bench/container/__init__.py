"""The images, beside one built as the ancestor sample builds its own."""
