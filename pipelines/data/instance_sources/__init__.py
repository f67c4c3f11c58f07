"""Instances that other programs found, one module for each form in which they write them.

`opening` looks at a file or folder and opens it. Every source gives `PictureMasks` for an image id (`picture_masks`).

- `coco_annotations`: COCO JSON with pictures and annotations.
- `result_list`: the list of results that detectron2, mmdetection and ultralytics write.
- `sam_folder`: a JSON file for each picture, as Segment Anything writes it.
- `yolo_folder`: a text file for each picture, as YOLO-seg has it.
- `mask_folder`: masks in picture files.

The first three share `annotations`. `background` finds the mask of what lies behind the objects.
"""
