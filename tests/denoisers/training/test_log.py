"""The log: whole lines only, cut where a run goes on."""

from denoisers.training.log import COLUMNS, Log, read_log


def test_lines_are_in_the_file_at_once_and_come_back_as_numbers(tmp_path):
    log = Log(tmp_path / "log.csv")
    log.begin(0)
    log.line(20, 0.5, 12.25, 0.001, 300.0, 1.5)
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        ",".join(COLUMNS),
        "20,0.5,12.25,0.001,300,1.5",
    ]
    assert read_log(tmp_path / "log.csv") == [[20, 0.5, 12.25, 0.001, 300, 1.5]]


def test_lines_behind_the_resumed_step_are_cut_off(tmp_path):
    log = Log(tmp_path / "log.csv")
    log.begin(0)
    for step in range(10, 60, 10):
        log.line(step, 1.0, 2.0, 3.0, 4.0, 5.0)
    Log(tmp_path / "log.csv").begin(30)
    assert [row[0] for row in read_log(tmp_path / "log.csv")] == [10, 20, 30]
    Log(tmp_path / "log.csv").begin(0)
    assert read_log(tmp_path / "log.csv") == []


def test_half_a_line_that_a_kill_left_is_no_line(tmp_path):
    path = tmp_path / "log.csv"
    head = ",".join(COLUMNS) + "\n"
    path.write_text(f"{head}10,1,2,3,4,5\n20,1,2,3,4,5\n10")  # of 100,…
    Log(path).begin(90)
    assert path.read_text().split() == [head.strip(), "10,1,2,3,4,5", "20,1,2,3,4,5"]
    path.write_bytes(head.encode() + b"10,1,2,3,4,5\n\xff\x00rubbish\n")
    assert read_log(path) == [[10, 1, 2, 3, 4, 5]]


def test_there_may_be_no_log(tmp_path):
    assert read_log(tmp_path / "log.csv") == []
