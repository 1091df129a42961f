"""What users of pymilvus do, call by call, on an empty server: `tour.py ADDRESS [PART]`. Exits 0 when every part found what it should."""

import asyncio
import random
import sys
import time
import traceback

import numpy
from pymilvus import (
    AnnSearchRequest,
    AsyncMilvusClient,
    Collection,
    CollectionSchema,
    DataType,
    FieldSchema,
    Function,
    FunctionType,
    LexicalHighlighter,
    MilvusClient,
    MilvusException,
    RRFRanker,
    WeightedRanker,
    connections,
    utility,
)
from pymilvus.client.embedding_list import EmbeddingList

URI = f"http://{sys.argv[1]}"
DIM = 8
FILMS = 300
chance = random.Random(7)
client = MilvusClient(uri=URI)
parts = []


def part(run):
    parts.append(run)
    return run


def vector(dim=DIM):
    return [chance.random() for _ in range(dim)]


def half():
    return numpy.array(vector(), dtype=numpy.float16)


def small(value):
    return numpy.full(DIM, value, dtype=numpy.int8)


def same(found, wanted):
    assert found == wanted, f"{found!r}, not {wanted!r}"


def refused(call, words="", code=None):
    try:
        call()
    except MilvusException as error:
        assert words in str(error), f"{error} does not say {words!r}"
        assert code is None or error.code == code, f"{error}: {error.code}, not {code}"
        return
    raise AssertionError(f"not refused: {words} {code}")


def count(name, **more):
    return client.query(name, output_fields=["count(*)"], **more)[0]["count(*)"]


@part
def a_collection_without_a_schema():
    client.create_collection("quick", dimension=DIM)
    rows = [
        {"id": i, "vector": vector(), "color": "red" if i % 2 else "blue", "n": i} for i in range(100)
    ]
    answer = client.insert("quick", rows)
    same((answer["insert_count"], list(answer["ids"])), (100, list(range(100))))
    hits = client.search(
        "quick", [vector(), vector()], limit=5, filter='color == "red"', output_fields=["color"]
    )
    same([len(each) for each in hits], [5, 5])
    assert all(hit["entity"]["color"] == "red" for each in hits for hit in each)
    found = client.query("quick", filter="n < 5", output_fields=["*"])
    same([row["id"] for row in found], [0, 1, 2, 3, 4])
    same(set(found[0]), {"id", "vector", "color", "n"})
    same([row["id"] for row in client.get("quick", ids=[3, 5])], [3, 5])
    same(client.delete("quick", ids=[3])["delete_count"], 1)
    same(client.delete("quick", filter="n > 90")["delete_count"], 9)
    same(count("quick"), 90)
    same(
        client.upsert("quick", {"id": 5, "vector": vector(), "color": "green"})["upsert_count"], 1
    )
    same(client.get("quick", 5)[0]["color"], "green")
    same((client.has_collection("quick"), client.has_collection("nothing")), (True, False))
    assert "quick" in client.list_collections()
    assert client.describe_collection("quick")["enable_dynamic_field"]
    assert client.get_collection_stats("quick")["row_count"] >= 90
    client.release_collection("quick")
    refused(lambda: client.search("quick", [vector()]), "not loaded", 101)
    client.load_collection("quick")
    client.refresh_load("quick")
    assert str(client.get_load_state("quick")["state"]).endswith("Loaded")
    client.drop_collection("quick")


def film_schema():
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True, description="films")
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("bits", DataType.BINARY_VECTOR, dim=16)
    schema.add_field("half", DataType.FLOAT16_VECTOR, dim=DIM)
    schema.add_field("small", DataType.INT8_VECTOR, dim=DIM)
    schema.add_field("year", DataType.INT16, nullable=True)
    schema.add_field("score", DataType.DOUBLE, default_value=1.5)
    schema.add_field(
        "tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=10, max_length=20
    )
    schema.add_field("meta", DataType.JSON)
    schema.add_field("seen", DataType.BOOL)
    schema.verify()
    return schema


def film_indexes():
    params = client.prepare_index_params()
    params.add_index("v", index_type="HNSW", metric_type="COSINE", params={"M": 8, "efConstruction": 64})
    params.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    params.add_index("bits", index_type="BIN_FLAT", metric_type="HAMMING")
    params.add_index("half", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 16})
    params.add_index("small", index_type="AUTOINDEX", metric_type="L2")
    params.add_index("year", index_type="STL_SORT")
    params.add_index("tags", index_type="INVERTED")
    params.add_index("seen", index_type="BITMAP")
    json = {"json_path": 'meta["a"]', "json_cast_type": "double"}
    params.add_index("meta", index_type="INVERTED", index_name="meta_a", params=json)
    return params


def film(i):
    return {
        "id": f"k{i}",
        "v": vector(),
        "sparse": {i % 7: 0.5, 100 + i: 1.25},
        "bits": bytes([i % 256, 255 - i % 256]),
        "half": half(),
        "small": small(i % 128),
        "year": None if i % 5 == 0 else 1990 + i % 30,
        "tags": [f"t{i % 3}", "x"],
        "meta": {"a": i, "b": {"c": [1, i]}},
        "seen": i % 2 == 0,
        "extra": i * 2,
    }


@part
def a_collection_of_many_types_and_indexes():
    client.create_collection(
        "films",
        schema=film_schema(),
        index_params=film_indexes(),
        consistency_level="Strong",
        properties={"collection.ttl.seconds": 3600},
    )
    rows = [film(i) for i in range(FILMS)]
    client.insert("films", rows)
    client.flush("films")
    indexed = ["bits", "half", "meta_a", "seen", "small", "sparse", "tags", "v", "year"]
    same(sorted(client.list_indexes("films")), indexed)
    described = client.describe_index("films", "v")
    same((described["index_type"], described["metric_type"]), ("HNSW", "COSINE"))
    found = client.query(
        "films",
        filter='year > 2000 and array_contains(tags, "t1") and meta["a"] > 10 and seen and extra >= 0',
        output_fields=["*"],
    )
    wanted = [
        row["id"]
        for row in rows
        if row["year"] and row["year"] > 2000 and row["tags"][0] == "t1" and row["seen"] and row["extra"] > 20
    ]
    same(sorted(row["id"] for row in found), sorted(wanted))
    same((found[0]["score"], type(found[0]["sparse"])), (1.5, dict))
    same(count("films", filter="year is null"), FILMS // 5)
    queries = {
        "v": vector(),
        "sparse": {1: 1.0},
        "bits": bytes([1, 254]),
        "half": half(),
        "small": small(5),
    }
    for field, query in queries.items():
        same(len(client.search("films", [query], anns_field=field, limit=3)[0]), 3)
    groups = client.search(
        "films", [vector()], anns_field="v", limit=10, group_by_field="year", output_fields=["year"]
    )[0]
    same(len({hit["entity"]["year"] for hit in groups}), 10)
    near = {"params": {"radius": 0.5, "range_filter": 1.0}}
    for hit in client.search("films", [vector()], anns_field="v", search_params=near, round_decimal=3)[0]:
        assert 0.5 < hit["distance"] <= 1 and hit["distance"] == round(hit["distance"], 3)
    keys = {"ids": ["k1", "k2"]}
    same(len(client.query("films", filter="id in {ids}", filter_params=keys)), 2)
    same([row["id"] for row in client.query("films", ids=["k5"])], ["k5"])
    same(sum(segment.num_rows for segment in client.list_persistent_segments("films")), FILMS)
    same(sum(segment.num_rows for segment in client.list_loaded_segments("films")), FILMS)


@part
def changes_of_a_collection():
    client.alter_collection_properties("films", {"collection.ttl.seconds": 7200})
    same(client.describe_collection("films")["properties"]["collection.ttl.seconds"], "7200")
    client.drop_collection_properties("films", ["collection.ttl.seconds"])
    client.release_collection("films")
    client.alter_index_properties("films", "v", {"mmap.enabled": True})
    client.drop_index_properties("films", "v", ["mmap.enabled"])
    client.load_collection("films")
    client.alter_collection_field("films", "id", {"max_length": 128})
    client.add_collection_field("films", "added", DataType.INT64, nullable=True, default_value=7)
    same(count("films", filter="added == 7"), FILMS)
    client.drop_collection_field("films", "added")
    assert "added" not in [each["name"] for each in client.describe_collection("films")["fields"]]
    clip = client.create_struct_field_schema()
    clip.add_field("word", DataType.VARCHAR, max_length=20)
    client.add_collection_struct_field("films", "clips", clip, max_capacity=4, nullable=True)
    same(count("films", filter="clips is null"), FILMS)
    same(len(client.describe_replica("films")), 1)
    client.drop_index("films", "year")
    assert "year" not in client.list_indexes("films")


def pages(iterator):
    while page := iterator.next():
        yield from page
    iterator.close()


@part
def iterators():
    found = client.query_iterator("films", batch_size=70, filter='id != ""', output_fields=["id"])
    same(len({row["id"] for row in pages(found)}), FILMS)
    found = client.search_iterator("films", data=[vector()], anns_field="v", batch_size=50, limit=170)
    hits = list(pages(found))
    same(len({hit["id"] for hit in hits}), 170)
    assert all(a["distance"] >= b["distance"] for a, b in zip(hits, hits[1:]))


@part
def hybrid_searches_and_rankers():
    requests = [
        AnnSearchRequest([vector()], "v", {"metric_type": "COSINE"}, limit=20, expr="extra > 10"),
        AnnSearchRequest([{1: 1.0, 3: 0.2}], "sparse", {"metric_type": "IP"}, limit=20),
    ]
    for ranker in (RRFRanker(60), WeightedRanker(0.7, 0.3)):
        hits = client.hybrid_search("films", requests, ranker=ranker, limit=10, output_fields=["year"])[0]
        same(len(hits), 10)
        assert all(a["distance"] >= b["distance"] for a, b in zip(hits, hits[1:]))
    decay = {"reranker": "decay", "function": "gauss", "origin": 1, "scale": 2, "decay": 0.5}
    boost = {"reranker": "boost", "filter": "seen == true", "weight": 2.0}
    for fields, params in ((["score"], decay), ([], boost)):
        ranker = Function("rank", FunctionType.RERANK, fields, params=params)
        same(len(client.search("films", [vector()], anns_field="v", limit=5, ranker=ranker)[0]), 5)


@part
def snapshots():
    client.create_snapshot("monday", "films", description="before")
    same(client.list_snapshots("films"), ["monday"])
    info = client.describe_snapshot("monday", "films")
    same((info.name, info.collection_name, info.description), ("monday", "films", "before"))
    client.delete("films", filter="extra < 100")
    job = client.restore_snapshot("monday", "films", "films_again")
    deadline = time.monotonic() + 10
    while (state := client.get_restore_snapshot_state(job)).progress < 100:
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    same([each.job_id for each in client.list_restore_snapshot_jobs("films_again")], [job])
    client.load_collection("films_again")
    same((count("films_again"), count("films")), (FILMS, FILMS - 50))
    pin = client.pin_snapshot_data("monday", "films", ttl_seconds=60)
    refused(lambda: client.drop_snapshot("monday", "films"), "pin")
    client.unpin_snapshot_data(pin)
    client.drop_snapshot("monday", "films")
    same(client.list_snapshots("films"), [])
    refused(lambda: client.describe_snapshot("monday", "films"), "not found")
    refused(lambda: client.restore_snapshot("monday", "films", "third"), "not found")
    client.drop_collection("films_again")


@part
def aliases_partitions_and_databases():
    client.create_alias("films", "movies")
    same(client.describe_alias("movies")["collection_name"], "films")
    same(client.list_aliases("films")["aliases"], ["movies"])
    same(count("movies"), FILMS - 50)
    client.drop_alias("movies")
    client.create_partition("films", "new")
    same(sorted(client.list_partitions("films")), ["_default", "new"])
    client.insert("films", film(FILMS), partition_name="new")
    same(count("films", partition_names=["new"]), 1)
    same(client.get_partition_stats("films", "new")["row_count"], 1)
    client.release_collection("films")
    client.drop_partition("films", "new")
    assert not client.has_partition("films", "new")
    client.load_collection("films")
    client.create_database("other", properties={"database.max.collections": 10})
    assert "other" in client.list_databases()
    client.rename_collection("films", "films2", target_db="other")
    client.using_database("other")
    same((client.list_collections(), count("films2")), (["films2"], FILMS - 50))
    client.rename_collection("films2", "films", target_db="default")
    client.using_database("default")
    client.alter_database_properties("other", {"timezone": "UTC"})
    same(client.describe_database("other")["timezone"], "UTC")
    client.drop_database_properties("other", ["timezone"])
    client.drop_database("other")


@part
def words():
    schema = client.create_schema(auto_id=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field(
        "body",
        DataType.VARCHAR,
        max_length=2000,
        enable_analyzer=True,
        enable_match=True,
        analyzer_params={"type": "english"},
    )
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, ["body"], ["sparse"]))
    params = client.prepare_index_params()
    params.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    client.create_collection("docs", schema=schema, index_params=params)
    bodies = ["The quick brown foxes", "a lazy dog sleeps", "quick dogs run fast", "nothing here"]
    client.insert("docs", [{"body": body} for body in bodies])
    marks = LexicalHighlighter(pre_tags=["<b>"], post_tags=["</b>"], highlight_search_text=True)
    search = {"anns_field": "sparse", "limit": 3, "output_fields": ["body"]}
    best = client.search("docs", ["quick dog"], highlighter=marks, **search)[0][0]
    same(best["entity"]["body"], "quick dogs run fast")
    same(best["highlight"]["body"]["fragments"], ["<b>quick</b> <b>dogs</b> run fast"])
    same(len(client.query("docs", filter='TEXT_MATCH(body, "fox dog")')), 3)
    same(len(client.query("docs", filter='PHRASE_MATCH(body, "quick brown", 0)')), 1)
    params = client.prepare_index_params()
    params.add_index("again", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    again = FieldSchema("again", DataType.SPARSE_FLOAT_VECTOR)
    client.add_function_field("docs", again, Function("bm25_2", FunctionType.BM25, ["body"], ["again"]), params)
    found = client.search("docs", ["quick dog"], anns_field="again", limit=3, output_fields=["body"])[0]
    same(found[0]["entity"]["body"], "quick dogs run fast")
    client.drop_function_field("docs", "bm25_2")
    same(client.run_analyzer("The quick foxes", {"type": "english"}).tokens, ["quick", "fox"])
    same(client.run_analyzer("我来到北京", {"type": "chinese"}).tokens, ["我", "来到", "北京"])
    job = client.compact("docs")
    deadline = time.monotonic() + 10
    while client.get_compaction_state(job) != "Completed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    same(client.optimize("docs").status, "success")


@part
def lists_of_structs():
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    clip = client.create_struct_field_schema()
    clip.add_field("word", DataType.VARCHAR, max_length=20)
    clip.add_field("sense", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field(
        "clips", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=clip, max_capacity=8
    )
    params = client.prepare_index_params()
    params.add_index("v", index_type="FLAT", metric_type="L2")
    params.add_index("clips[sense]", index_type="HNSW", metric_type="MAX_SIM_COSINE")
    client.create_collection("structs", schema=schema, index_params=params)
    rows = [
        {"id": i, "v": vector(4), "clips": [{"word": f"w{j}", "sense": vector(4)} for j in range(i % 3)]}
        for i in range(20)
    ]
    client.insert("structs", rows)
    clips = client.query("structs", filter="id == 2", output_fields=["clips"])[0]["clips"]
    same([each["word"] for each in clips], ["w0", "w1"])
    query = EmbeddingList()
    for _ in range(2):
        query.add(numpy.array(vector(4), dtype=numpy.float32))
    same(len(client.search("structs", [query], anns_field="clips[sense]", limit=3)[0]), 3)


@part
def partial_upserts_and_refusals():
    client.create_collection("small", dimension=4)
    client.insert("small", {"id": 1, "vector": [1, 2, 3, 4], "a": 1})
    client.upsert("small", {"id": 1, "a": 2}, partial_update=True)
    same([(row["a"], row["vector"]) for row in client.get("small", 1)], [(2, [1, 2, 3, 4])])
    refused(lambda: client.insert("small", {"id": 2, "vector": [1, 2, 3]}))
    refused(lambda: client.insert("small", {"id": 2, "a": 1}))
    refused(lambda: client.query("small", filter="nope ==="), "filter", 1100)
    refused(lambda: client.query("small", limit=20000), "16384", 1100)
    refused(lambda: client.search("small", [[1, 2, 3]]), "dim", 1100)
    refused(lambda: client.search("nothing", [[1, 2, 3]]), "not found", 100)
    refused(lambda: client.create_collection("bad name", dimension=4), "bad name", 1100)
    client.truncate_collection("small")
    same(count("small"), 0)


@part
def collections_as_objects():
    connections.connect(alias="objects", uri=URI)
    key = FieldSchema("id", DataType.INT64, is_primary=True)
    schema = CollectionSchema([key, FieldSchema("v", DataType.FLOAT_VECTOR, dim=4)])
    things = Collection("things", schema, using="objects")
    things.insert([[1, 2, 3], [[1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]]])
    things.create_index("v", {"index_type": "IVF_SQ8", "metric_type": "L2", "params": {"nlist": 4}})
    things.load()
    things.flush()
    same(things.num_entities, 3)
    near = {"metric_type": "L2", "params": {"nprobe": 4}}
    same(things.search([[1, 2, 3, 4]], "v", near, limit=2)[0].ids, [1, 2])
    same(utility.loading_progress("things", using="objects"), {"loading_progress": "100%"})
    things.release()
    things.drop_index()
    utility.drop_collection("things", using="objects")


@part
def many_calls_at_once():
    async def run():
        other = AsyncMilvusClient(uri=URI)
        await other.create_collection("many", dimension=4)
        await other.insert("many", [{"id": i, "vector": vector(4)} for i in range(10)])
        calls = [other.search("many", [vector(4)], limit=3) for _ in range(10)]
        same([len(answer[0]) for answer in await asyncio.gather(*calls)], [3] * 10)
        await other.close()

    asyncio.run(run())


failed = []
for run in parts:
    if len(sys.argv) > 2 and sys.argv[2] not in run.__name__:
        continue
    try:
        run()
    except Exception:
        traceback.print_exc()
        failed.append(run.__name__)
print(f"failed: {', '.join(failed)}" if failed else f"all {len(parts)} parts are right")
sys.exit(1 if failed else 0)
