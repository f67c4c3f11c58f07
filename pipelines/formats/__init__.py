"""Instances and label maps in the files of other programs, read and written for `s4 convert`.

- `annotated`: what every reader gives and every writer takes: pictures with instances, one at a time.
- `opening`: looks at a file or folder, and takes the reader of its form.
- `conversion`: from a reader to a writer, and into place as a whole.
- `losses`: what a form cannot express, counted.
- `polygons`: outlines of masks with holes and parts. `brush`: run lengths of Label Studio.
- `places`: where the pictures of a source lie. `target`: where a writer puts its files.

A module for each form has its reader, its writer, or both: `voc` (also CVAT's), `coco`, `labelme`, `label_studio`,
`yolo_seg`, `mask_files`, `s4net_pickle`, `own_results`. `reviewed_labels` tells what of a label folder counts.
"""
