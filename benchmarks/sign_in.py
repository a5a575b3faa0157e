"""Tokens by password (cached and not) and by token: server CPU seconds per call."""

import time

import requests
from measure import ADMIN, Server, report, serving


def calls(server: Server, n: int, auth: tuple[str, str], session: requests.Session) -> dict[str, float]:
    cpu, wall = server.cpu_s(), time.perf_counter()
    for _ in range(n):
        session.post(f"{server.url}/get_token", auth=auth, timeout=60).raise_for_status()
    return {"cpu_s": (server.cpu_s() - cpu) / n, "wall_s": (time.perf_counter() - wall) / n}


def main() -> None:
    with serving() as server, requests.Session() as session:
        users = [{"username": f"u{i}", "password": f"password number {i}"} for i in range(40)]
        session.post(f"{server.url}/put_users", json=users, auth=ADMIN, timeout=60).raise_for_status()
        token = session.post(f"{server.url}/get_token", auth=ADMIN, timeout=60).json()["token"]
        cpu = server.cpu_s()
        for user in users:  # each for the first time: nothing is cached
            auth = (user["username"], user["password"])
            session.post(f"{server.url}/get_token", auth=auth, timeout=60).raise_for_status()
        first = (server.cpu_s() - cpu) / len(users)
        again, by_token = calls(server, 200, ADMIN, session), calls(server, 500, (token, ""), session)
    figures = {
        f"{name}_{kind}": value
        for name, spent in (("again", again), ("by_token", by_token))
        for kind, value in spent.items()
    }
    report(benchmark="sign_in", first_cpu_s=first, **figures)


if __name__ == "__main__":
    main()
