from pipelines.studies.paper_tables import paper_table


def test_the_tables_are_those_of_the_paper() -> None:
    tables = {number: paper_table(number, "resnet50", ["resnet101", "resnet50", "mine"]) for number in (1, 2, 3, 4)}
    figures = {
        number: [(row.paper.map50, row.paper.map70) for row in table.rows if row.paper]
        for number, table in tables.items()
    }
    assert figures[1] == [(85.2, 61.5), (85.2, 61.1), (85.5, 62.4), (86.7, 63.6)]
    assert figures[2] == [(85.9, 62.5), (86.4, 63.4), (86.7, 63.6), (86.5, 63.3), (86.2, 62.4), (85.9, 62.0)]
    assert figures[3] == [(88.1, 66.8), (86.7, 63.6)]
    assert [figure.map50 for figure in tables[4].quoted.values()] == [65.3, 86.7]
    assert [row.alpha for row in tables[2].rows] == [0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 1]
    assert tables[3].rows[2].paper is None
    for table in tables.values():
        assert table.reference is None or table.reference in {row.name for row in table.rows}


def test_rows_that_train_the_same_share_a_folder() -> None:
    tables = {number: paper_table(number, "resnet50", ["resnet101", "resnet50", "mine"]) for number in (1, 2, 3, 4)}
    common = tables[1].rows[4].folder
    assert common == tables[2].rows[2].folder == tables[3].rows[1].folder == tables[4].rows[0].folder
    assert common == "trunk=resnet50,roi=ternary,alpha=0.3333"
    # A mask without a ring does not depend on the ring's width.
    assert tables[1].rows[2].folder == "trunk=resnet50,roi=binary"
