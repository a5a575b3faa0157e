"""What an idle detector costs a large database: looking for work where every picture is annotated. One JSON line.

    python benchmarks/explore.py [--database URL]     # seeds 1.3 million annotated pictures
    python benchmarks/claims.py [--database URL]

`first_s` is a look that knows nothing, `again_ms` the later ones, which a detector makes every five seconds;
`new_version_ms` claims eight pictures for a version that has annotated nothing.
"""

import argparse
import json
import statistics
import time

import sqlalchemy as sa

from spi_dash import db
from spi_dash.clock import utcnow
from spi_dash.contract import ClaimKey
from spi_dash.models import Image, UidAnnotation, UidCursor, UidIntent
from spi_dash.services import claims

LOOKS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="sqlite:////tmp/spi-bench-explore.db")
    database = db.connect(parser.parse_args().database)
    with database.begin() as session:
        session.execute(sa.delete(UidCursor))
        session.execute(sa.delete(UidIntent))
        images = session.scalar(sa.select(sa.func.count(Image.id)))
        newest = session.execute(
            sa.select(UidAnnotation.algo_name, UidAnnotation.algo_version).order_by(UidAnnotation.id.desc()).limit(1)
        ).one()

    def look(version: str) -> tuple[float, int]:
        key = ClaimKey(
            device="%",
            start_datetime="1970-01-01",
            end_datetime="2200-01-01",
            algo_name=newest.algo_name,
            algo_version=version,
            worker="bench",
        )
        began = time.perf_counter()
        found = claims.claim_images(database.read, database.begin, [key], None, utcnow())
        return time.perf_counter() - began, len(found)

    first_s, found = look(newest.algo_version)
    assert not found, "the database has pictures that are not annotated: seed it with explore.py"
    again = [look(newest.algo_version)[0] for _ in range(LOOKS)]
    fresh = [look("~" + newest.algo_version) for _ in range(LOOKS)]  # ~ sorts after every version
    assert all(n == claims.CLAIMS_PER_CALL for _, n in fresh)
    with database.begin() as session:
        session.execute(sa.delete(UidIntent))
        claims.end_cursors(session)
    result = {
        "images": images,
        "dialect": database.engine.dialect.name,
        "first_s": round(first_s, 3),
        "again_ms": round(1000 * statistics.median(again), 1),
        "new_version_ms": round(1000 * statistics.median(s for s, _ in fresh), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
