"""What is asked of Airflow's metadata database in SQL of its own, on PostgreSQL as well: all other tests have SQLite."""

import pytest
from airflow.models.xcom import XComModel
from sqlalchemy import Column, MetaData, Table, create_engine
from sqlalchemy.orm import Session

from airflow_provider_laplas.ui.server import claims_of


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request):
    if request.param == "sqlite":
        engine = create_engine("sqlite://")
    else:
        engine = create_engine(request.getfixturevalue("postgresql").url)
    table = Table("xcom", MetaData(), *(Column(each.name, each.type) for each in XComModel.__table__.c))
    table.create(engine)
    with Session(engine) as session:
        yield session
    table.drop(engine)
    engine.dispose()


def test_the_task_whose_xcom_names_a_reply_is_found_and_no_other(session):
    values = [
        "s3://bucket/ours.json",
        's3://bucket/"quoted" ü.json',
        7,
        {"s3://bucket/ours.json": 1},
        ["a"],
        None,
    ]
    rows = [
        {
            "dag_run_id": 1,
            "task_id": f"task_{n}",
            "map_index": -1,
            "key": "result",
            "dag_id": "d",
            "run_id": "r",
        }
        | {"value": value, "timestamp": None}
        for n, value in enumerate(values)
    ]
    table = XComModel.__table__
    session.execute(table.insert(), [{name: row[name] for name in row if name in table.c} for row in rows])
    found = claims_of(session, ["s3://bucket/ours.json", values[1], "s3://bucket/not there.json"])
    assert {uri: [key.task_id for key in keys] for uri, keys in found.items()} == {
        values[0]: ["task_0"],
        values[1]: ["task_1"],
    }
