"""What a folder holds that s4 can use, for `s4 init`: files, then what they are, then settings for them."""
