"""Models that write what is in a picture: an encoder of images and a decoder of text."""
