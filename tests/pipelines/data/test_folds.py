from pipelines.data.folds import Fold

# CRC-32 of a, b, c, d: e8b7be43, 71beeff9, 06b9df6f, 98dd4acc


def test_the_part_of_a_picture_is_its_checksum_modulo_the_number_of_parts():
    assert [Fold(0, 2).holds(image_id) for image_id in "abcd"] == [False, False, False, True]
    assert [Fold(3, 4).holds(image_id) for image_id in "abcd"] == [True, False, True, False]


def test_every_picture_is_in_one_part():
    ids = [f"2007_{number:06}" for number in range(300)]
    parts = [[image_id for image_id in ids if Fold(part, 3).holds(image_id)] for part in range(3)]
    assert sorted(image_id for part in parts for image_id in part) == ids
    assert all(80 < len(part) < 120 for part in parts)
