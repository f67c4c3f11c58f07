"""How a label map comes from a picture with keywords, in the order of the files below."""
