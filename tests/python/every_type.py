"""Every data type in and out through pymilvus: `every_type.py ADDRESS`. Exits 0 when all of it came back as it went in."""

import json
import math
import struct
import sys

import numpy
from pymilvus import DataType, MilvusClient

NAME = "every"
client = MilvusClient(uri=f"http://{sys.argv[1]}")


def array(schema, name, element_type, **more):
    schema.add_field(
        name, DataType.ARRAY, element_type=element_type, max_capacity=8, nullable=True, **more
    )


def make_schema():
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    scalars = {
        "bool": (DataType.BOOL, True),
        "int8": (DataType.INT8, -128),
        "int16": (DataType.INT16, 32767),
        "int32": (DataType.INT32, -(2**31)),
        "int64": (DataType.INT64, 2**63 - 1),
        "float": (DataType.FLOAT, 0.5),
        "double": (DataType.DOUBLE, 0.1),
        "text": (DataType.VARCHAR, "wörd 漢 🦈"),
        "json": (DataType.JSON, None),
        "place": (DataType.GEOMETRY, None),
        "moment": (DataType.TIMESTAMPTZ, "2025-01-01T00:00:00+08:00"),
    }
    for name, (data_type, default) in scalars.items():
        more = {"max_length": 65535} if data_type == DataType.VARCHAR else {}
        schema.add_field(name, data_type, **more)
        schema.add_field(f"{name}_or_null", data_type, nullable=True, **more)
        if default is not None:
            schema.add_field(f"{name}_or_default", data_type, default_value=default, **more)
    array(schema, "bools", DataType.BOOL)
    array(schema, "int8s", DataType.INT8)
    array(schema, "int64s", DataType.INT64)
    array(schema, "floats", DataType.FLOAT)
    array(schema, "doubles", DataType.DOUBLE)
    array(schema, "texts", DataType.VARCHAR, max_length=100)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=3)
    schema.add_field("binary", DataType.BINARY_VECTOR, dim=16)
    schema.add_field("half", DataType.FLOAT16_VECTOR, dim=2)
    schema.add_field("brain", DataType.BFLOAT16_VECTOR, dim=2)
    schema.add_field("tiny", DataType.INT8_VECTOR, dim=4)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("half_or_null", DataType.FLOAT16_VECTOR, dim=2, nullable=True)
    schema.add_field("sparse_or_null", DataType.SPARSE_FLOAT_VECTOR, nullable=True)
    clip = client.create_struct_field_schema()
    clip.add_field("text", DataType.VARCHAR, max_length=100)
    clip.add_field("n", DataType.INT64)
    clip.add_field("weight", DataType.DOUBLE)
    clip.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field(
        "clips", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=clip, max_capacity=4
    )
    return schema


def make_indexes():
    indexes = client.prepare_index_params()
    table = {
        "vector": ("FLAT", "L2"),
        "binary": ("BIN_FLAT", "HAMMING"),
        "half": ("FLAT", "L2"),
        "brain": ("FLAT", "IP"),
        "tiny": ("FLAT", "L2"),
        "sparse": ("SPARSE_INVERTED_INDEX", "IP"),
        "half_or_null": ("FLAT", "L2"),
        "sparse_or_null": ("SPARSE_INVERTED_INDEX", "IP"),
        "clips[vector]": ("FLAT", "MAX_SIM_COSINE"),
    }
    for name, (index_type, metric) in table.items():
        indexes.add_index(name, index_type=index_type, metric_type=metric)
    return indexes


def half(*values):
    return numpy.array(values, dtype=numpy.float16)


def brain(*values):
    """Numbers whose lower bits are zero; pymilvus takes them as bytes."""
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def clip(n):
    return {"text": "" if n == 0 else f"ü {n}", "n": 2**62 + n, "weight": n / 3, "vector": [float(n), -0.5]}


LEAST = {
    "bool": False,
    "int8": -128,
    "int16": -32768,
    "int32": -(2**31),
    "int64": -(2**63),
    "float": -0.0,
    "double": -0.0,
    "text": "",
    "json": {},
    "place": "POINT EMPTY",
    "moment": "0001-01-01T00:00:00Z",
}
MOST = {
    "bool": True,
    "int8": 127,
    "int16": 32767,
    "int32": 2**31 - 1,
    "int64": 2**63 - 1,
    "float": 1.5,
    "double": sys.float_info.max,
    "text": "x" * 65532 + "漢",
    "json": {"deep": {"list": [1, -2.5, "ü", None, True, {}, []]}, 'key "quoted"': 1e300},
    "place": "POLYGON ((0 0, 1 0, 1 1, 0 0))",
    "moment": "9999-12-31T23:59:59.999999Z",
}
ARRAYS = {
    "bools": [True, False],
    "int8s": [-128, 127],
    "int64s": [-(2**63), 2**63 - 1],
    "floats": [-0.0, 1.5],
    "doubles": [-0.0, 0.1],
    "texts": ["", "one", "🦈"],
}
VECTORS = {
    "vector": [-0.0, 0.5, -1.25],
    "binary": bytes([255, 129]),
    "half": half(-0.0, 65504),
    "brain": brain(3.140625, -0.0),
    "tiny": numpy.array([-128, 0, 1, 127], dtype=numpy.int8),
    "sparse": {0: 1.5, 7: -0.25, 4294967293: 0.5},
}
DEFAULTS = {
    "bool": True,
    "int8": -128,
    "int16": 32767,
    "int32": -(2**31),
    "int64": 2**63 - 1,
    "float": 0.5,
    "double": 0.1,
    "text": "wörd 漢 🦈",
    "moment": "2024-12-31T16:00:00Z",
}


def suffixed(row, suffix, names=None):
    return {f"{name}{suffix}": value for name, value in row.items() if names is None or name in names}


FULL = {"half_or_null": half(1, -2), "sparse_or_null": {3: 1.0}}
NULLS = {**dict.fromkeys([f"{name}_or_null" for name in LEAST]), **dict.fromkeys(ARRAYS), **dict.fromkeys(FULL)}
SHOWN_DEFAULTS = suffixed(DEFAULTS, "_or_default")

ROWS = [
    {
        **LEAST,
        **suffixed(LEAST, "_or_null"),
        **suffixed(LEAST, "_or_default", DEFAULTS),
        **dict.fromkeys(ARRAYS, []),
        **VECTORS,
        **FULL,
        "sparse": {},
        "clips": [],
    },
    {
        **MOST,
        **suffixed(MOST, "_or_null"),
        **suffixed(MOST, "_or_default", DEFAULTS),
        **ARRAYS,
        **VECTORS,
        **FULL,
        "clips": [clip(0), clip(1), clip(2), clip(3)],
        "extra": {"beside": [1, "a", None]},
    },
    {**MOST, **NULLS, **dict.fromkeys(SHOWN_DEFAULTS), **VECTORS, "clips": [clip(1)]},
    {**LEAST, **VECTORS, "clips": [clip(2)]},
]
BACK = [ROWS[0], ROWS[1], {**ROWS[2], **SHOWN_DEFAULTS}, {**ROWS[3], **NULLS, **SHOWN_DEFAULTS}]


def plain(value):
    """What can be compared: bytes of vectors, signs of zero."""
    if isinstance(value, numpy.ndarray):
        return value.tobytes().hex() if value.dtype != numpy.float32 else [plain(float(each)) for each in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (float, numpy.floating)):
        return "-0" if value == 0 and math.copysign(1, value) < 0 else float(value)
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)) or type(value).__name__ == "RepeatedScalarContainer":
        # Vectors of bytes come as a list of one.
        return plain(value[0]) if len(value) == 1 and isinstance(value[0], bytes) else [plain(each) for each in value]
    return value


def check(where, rows, first=0):
    found = {row["id"]: row for row in rows}
    wrong = []
    for i, row in enumerate(BACK):
        is_there = found.get(first + i)
        if is_there is None:
            wrong.append(f"row {i} is missing")
            continue
        for name, value in row.items():
            if plain(is_there.get(name)) != plain(value):
                shown = [json.dumps(plain(each), default=str)[:200] for each in (value, is_there.get(name))]
                wrong.append(f"row {i}, {name}: {shown[0]} became {shown[1]}")
    if wrong:
        print(f"{where}:\n  " + "\n  ".join(wrong))
    return not wrong


def queried():
    return client.query(NAME, filter="id >= 0", output_fields=["*"])


def searched():
    hits = client.search(NAME, data=[[0.0, 0.0, 0.0]], anns_field="vector", limit=100, output_fields=["*"])
    return [{"id": hit["id"], **hit["entity"]} for hit in hits[0]]


client.create_collection(NAME, schema=make_schema(), index_params=make_indexes())
rows = [{"id": i, **row} for i, row in enumerate(ROWS)]
client.insert(NAME, rows)
ok = check("inserted, query", queried())
ok = check("inserted, search", searched()) and ok
client.flush(NAME)
ok = check("flushed, query", queried()) and ok
client.upsert(NAME, rows)
ok = check("upserted, query", queried()) and ok
client.flush(NAME)
ok = check("upserted and flushed, search", searched()) and ok

in_zone = client.query(NAME, filter="id == 3", output_fields=["moment_or_default"], timezone="Asia/Shanghai")
in_parts = client.query(NAME, filter="id == 3", output_fields=["moment_or_default"], time_fields="year, hour")
shown = [rows[0]["moment_or_default"] for rows in (in_zone, in_parts)]
if plain(shown) != ["2025-01-01T00:00:00+08:00", [2024, 16]]:
    print(f"a moment in another zone and in parts: {shown}")
    ok = False
parts = client.query(NAME, filter="id == 1", output_fields=["clips[text]"])[0]["clips"]
if parts != [{"text": clip(n)["text"]} for n in range(4)]:
    print(f"one field of a struct: {parts}")
    ok = False
described = client.describe_collection(NAME)
names = [field["name"] for field in described["fields"]]
if "clips" not in names:
    print(f"clips is not described: {names}")
    ok = False
print("every type came back as it went in" if ok else "differences")
sys.exit(0 if ok else 1)
