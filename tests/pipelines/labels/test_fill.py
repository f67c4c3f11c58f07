import numpy as np

from pipelines.labels.fill import shown_pixels

SIZE = (1, 4)


def test_attention_shows_a_keyword_where_it_is_strong_and_strongest():
    maps = np.float32([[[0.9, 0.6, 0.6, 0.1]], [[0.2, 0.7, 0.4, 0.4]]])
    assert shown_pixels(maps, 0, SIZE).tolist() == [[True, False, True, False]]
    assert shown_pixels(maps, 1, SIZE).tolist() == [[False, True, False, False]]
