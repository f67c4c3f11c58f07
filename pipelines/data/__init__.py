"""The file boundary: pictures, label maps, annotations and keyword tables, checked where they enter."""
