"""What is made of the result of one picture to look at or to take away: overlay, masks, labelme, cut-outs."""
