"""What payloads are read as, and which are refused."""

from __future__ import annotations

import pytest

from connectors.codecs import MAX_DEPTH, CsvCodec, JsonCodec
from connectors.columns import columns_of
from streamlnn.pipeline.contract import DecodeError, Message


def json_tree(payload: bytes) -> object:
    return JsonCodec().decode(Message("t", payload, None))


def csv_tree(payload: bytes, *columns: str) -> object:
    return CsvCodec().decode(Message("f", payload, None, columns or None))


@pytest.mark.parametrize(
    ("payload", "tree"),
    [
        (b'{"temp": 21.5, "on": true}', {"temp": 21.5, "on": True}),
        (b'[{"value": 1}]', [{"value": 1}]),
        (b"12.5", {"value": 12.5}),
        (b"  12.5\r\n", {"value": 12.5}),
        (b"+12.5", {"value": 12.5}),
        (b".5", {"value": 0.5}),
        (b"007", {"value": 7.0}),
        (b'"12.5"', {"value": 12.5}),
        (b'"-1e3"', {"value": -1000.0}),
        (b"true", {"value": True}),
        (b'"open"', {"value": "open"}),
        ('"21 °C"'.encode(), {"value": "21 °C"}),
    ],
)
def test_json_and_bare_values_are_read(payload: bytes, tree: object) -> None:
    """JSON is taken as it is; a bare or quoted value is the field `value`."""
    assert json_tree(payload) == tree


@pytest.mark.parametrize(
    "payload",
    [b"", b" ", b"null", b"nan", b"NaN", b"unavailable", b"unknown", b'"unavailable"', b'"NaN"'],
)
def test_a_sensor_without_a_value_gives_a_gap(payload: bytes) -> None:
    """Words that stand for no value are a gap, not an error."""
    assert json_tree(payload) == {"value": None}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"v": NaN}', "neither JSON nor a number"),
        (b"Infinity", "neither JSON nor a number"),
        (b'{"v": 1e400}', "out of range"),
        (b"+1e400", "beyond a double's range"),
        (b'"1e400"', "beyond a double's range"),
        (b"1" * 400, "beyond a double's range"),
        (b'{"v": ' + b"1" * 400 + b"}", "beyond a double's range"),
        (b"1" * 5000, "beyond a double's range"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 70 + b"]" * 70, f"nested deeper than {MAX_DEPTH} levels"),
        (b'{"v": "\xff"}', "neither JSON nor a number"),
        (b"\xef\xbb\xbf1", "neither JSON nor a number"),
        (b"12,5", "a decimal comma"),
        (b"1 2", "neither JSON nor a number"),
        (b'{"v": 1', "neither JSON nor a number"),
        (b"open", "neither JSON nor a number"),
        (b"1_000", "neither JSON nor a number"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(payload: bytes, reason: str) -> None:
    """A hostile or broken payload is a DecodeError that says why and quotes it."""
    with pytest.raises(DecodeError, match=reason) as caught:
        json_tree(payload)
    shown = payload[:20].removeprefix(b"\xef\xbb\xbf")
    assert repr(shown)[2:-1] in str(caught.value)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Only nesting counts, not the number of objects."""
    assert json_tree(b"[" + b"{}," * 100 + b"{}]") == [{}] * 101


@pytest.mark.parametrize(
    ("line", "columns", "tree"),
    [
        (b"1,2", ("a", "b"), {"a": "1", "b": "2"}),
        (b"1;2,5", ("a", "b"), {"a": "1", "b": "2.5"}),
        (b"1\t2", ("a", "b"), {"a": "1", "b": "2"}),
        (b'"x, y",2', ("a", "b"), {"a": "x, y", "b": "2"}),
        (b'"say ""no""",2', ("a", "b"), {"a": 'say "no"', "b": "2"}),
        (b'"1","12:00",23.5', ("date", "t"), {"date": "12:00", "t": "23.5"}),
        (b"1,,3", ("a", "b", "c"), {"a": "1", "b": None, "c": "3"}),
        (b"0,7", ("", "a"), {"a": "7"}),
        (b" 7 ", ("value",), {"value": "7"}),
        (b"1,5", ("value",), {"value": "1.5"}),
        (b"1.33e+05", (), {"value": "1.33e+05"}),
        (b"1;2;3", (), {"c0": "1", "c1": "2", "c2": "3"}),
        ("7,4 °C".encode("latin-1"), ("a", "b"), {"a": "7", "b": "4 °C"}),
    ],
)
def test_csv_cells_go_to_their_columns(
    line: bytes, columns: tuple[str, ...], tree: dict[str, str | None]
) -> None:
    """Any of the usual delimiters, quotes, a row number in front; an empty cell is a gap."""
    assert csv_tree(line, *columns) == tree


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2", "2 cells where the header names 3 columns"),
        (b"1,2,3,4,5", "5 cells where the header names 3 columns"),
        (b"", "1 cells where the header names 3 columns"),
        (b'"1,2,3', "quotes that do not fit"),
        (b"1,\0,3", "NUL bytes"),
    ],
)
def test_a_csv_line_that_does_not_fit_is_refused(line: bytes, reason: str) -> None:
    """The message tells both counts, so that the line can be found."""
    with pytest.raises(DecodeError, match=reason):
        csv_tree(line, "a", "b", "c")


def test_a_given_delimiter_is_the_only_one() -> None:
    """Who names the delimiter is not second-guessed."""
    message = Message("f", b"1;2,3", None, ("a", "b"))
    assert CsvCodec(",").decode(message) == {"a": "1;2", "b": "3"}


@pytest.mark.parametrize(
    ("line", "columns", "is_header"),
    [
        (b"date,OT", ("date", "OT"), True),
        (b'"date","Temperature"', ("date", "Temperature"), True),
        (b"\xef\xbb\xbfTime;Volume Flow RateRMS", ("Time", "Volume Flow RateRMS"), True),
        (b",0,1", ("", "0", "1"), True),
        (b"date,0,1", ("date", "0", "1"), True),
        (b"t,x,x", ("t", "x_1", "x_2"), True),
        (b"5;6", ("c0", "c1"), False),
        (b"-1.5e3", ("value",), False),
        (b"2026-01-01 00:00:00,7", ("c0", "c1"), False),
        (b"1/1/2010 0:00,7", ("c0", "c1"), False),
        (b"pump7,12.5", ("c0", "c1"), False),
    ],
)
def test_a_header_is_told_from_data(line: bytes, columns: tuple[str, ...], is_header: bool) -> None:
    """Numbers and times in front, or a decimal anywhere, are data; names are a header."""
    assert columns_of(line) == (columns, is_header)


def test_a_file_that_goes_on_without_a_header_keeps_its_columns() -> None:
    """After a rotation the columns of the file before are used if their number fits."""
    assert columns_of(b"1.5,2.5", before=("a", "b")) == (("a", "b"), False)
    assert columns_of(b"1.5,2.5", before=("a", "b", "c")) == (("c0", "c1"), False)


def test_a_decimal_comma_is_read_where_it_can_be_nothing_else():
    """As in the exports of half of Europe: semicolons between cells, commas within."""
    columns = ("time", "flow")
    assert CsvCodec().decode(Message("f", b"2026-01-01;-7,5", None, columns))["flow"] == "-7.5"
    assert (
        CsvCodec().decode(Message("f", b'2026-01-01,"20,149"', None, columns))["flow"] == "20,149"
    )
