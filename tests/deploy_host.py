"""A host for docker/deploy.sh, with a docker on its path that writes down what it is asked and answers from files."""

import os
import re
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docker" / "deploy.sh"
DUMP = "CREATE TABLE images (id INT);\n-- Dump completed on 2026-11-23 11:00:00\n"

# What a docker engine would answer. A file `fail` holds the pattern of calls that fail, one more each.
DOCKER = r"""#!/bin/sh
printf '%s\n' "$*" >>"$FAKE/calls"
printf "%s" "${SPI_MOUNTED-}" >"$FAKE/mounted"
if [ -f "$FAKE/fail" ] && printf '%s\n' "$*" | grep -qE -f "$FAKE/fail"; then
    rm -f "$FAKE/fail"; echo broken >&2; exit 1
fi
case "$*" in
    "compose "*" up -d") [ ! -f "$FAKE/recreated" ] || mv "$FAKE/recreated" "$FAKE/states" ;;
esac
case "$*" in *pins.yml*) cp "$TMPDIR"/tmp.*/pins.yml "$FAKE/pins" ;; esac
case "$*" in
    *mariadb-dump*) cat "$FAKE/dump" ;;
    *"exec mariadb "*"-N -B"*)
        input=$(cat); printf '%s\n' "$input" >>"$FAKE/sql"
        case $input in
            *COUNT*) cat "$FAKE/tables" ;;
            *schema_name*) printf 'sticky_pi\tutf8mb4\tutf8mb4_general_ci\n' ;;
        esac ;;
    *"config --services"*) printf 'spi_nginx\nspi_dash\nspi_db\nspi_uid\nspi_migrate\nspi_backup\n' ;;
    *"config --images"*) echo mariadb:1 ;;
    *" ps -a -q spi_uid"*) cat "$FAKE/detectors" ;;
    *" ps -a -q spi_dash"*) cat "$FAKE/servers" ;;
    *" ps -a -q"*) cat "$FAKE/ids" ;;
    inspect*) cat "$FAKE/states" ;;
esac
"""
TOOLS = {
    "docker": DOCKER,
    "getent": '#!/bin/sh\n[ ! -f "$FAKE/unknown" ] || ! grep -qx "$2" "$FAKE/unknown"\n',
    "ss": '#!/bin/sh\n[ ! -f "$FAKE/ports" ] || echo "LISTEN 0 511 0.0.0.0:80"\n',
    "df": '#!/bin/sh\nprintf "h\\n/dev/x 99 1 %s 1%% /\\n" "$(cat "$FAKE/free")"\n',
    "timedatectl": '#!/bin/sh\ncat "$FAKE/clock"\n',
}
STATES = """spi_dash running healthy 0 sha256:app 1d
spi_migrate exited none 0 sha256:app 2d
spi_db running healthy 0 sha256:db 3d
spi_nginx running healthy 0 sha256:nginx 4d
"""


class Host:
    """A folder with a checkout's docker/, and the programs of a host."""

    def __init__(self, root: Path) -> None:
        self.docker, self.fake, self.cwd, self.data = (root / n for n in ("docker", "fake", "cwd", "data"))
        for folder in (self.docker, self.fake, self.cwd, self.data):
            folder.mkdir()
        shutil.copy(SCRIPT, self.docker)
        self.write(ROOT_DOMAIN_NAME="traps.mylab.org", LOCAL_VOLUME_ROOT=self.data, MYSQL_HOST="spi_db")
        for name, text in TOOLS.items():
            (self.fake / name).write_text(text)
            (self.fake / name).chmod(0o755)
        answers = {"dump": DUMP, "tables": "0\n", "ids": "1\n2\n", "states": STATES, "free": "99999999\n"}
        for name, text in (answers | {"clock": "yes\n", "detectors": "7\n", "servers": "1\n"}).items():
            self.answer(name, text)

    def write(self, **values: object) -> None:
        (self.docker / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def answer(self, name: str, text: str) -> None:
        (self.fake / name).write_text(text)

    @property
    def secrets(self) -> Path:
        return self.docker / ".secret.env"

    def run(self, *arguments: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        fixed = {
            "PATH": f"{self.fake}:{os.environ['PATH']}",
            "FAKE": str(self.fake),
            "SPI_WAIT_S": "0",
            "SPI_POLL_S": "0",
            "TMPDIR": str(self.fake),
        }
        command = ["sh", str(self.docker / "deploy.sh"), *arguments]
        return subprocess.run(
            command, cwd=self.cwd, env=fixed | environ, input=typed, capture_output=True, text=True, timeout=60
        )

    def refused(self, *arguments: str, **more: str) -> str:
        done = self.run(*arguments, **more)
        assert done.returncode == 1, done
        return done.stderr

    def ready(self) -> "Host":
        assert self.run("secrets", ADMIN_EMAIL="lab@mylab.org").returncode == 0
        certificate = self.data / "certbot/conf/live/traps.mylab.org/fullchain.pem"
        certificate.parent.mkdir(parents=True)
        certificate.write_text("x")
        return self

    def calls(self) -> list[str]:
        """What docker was asked to do, without files and flags that are always there."""
        path = self.fake / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [re.sub(r"^compose .*?-f \S+/compose\.\w+\.yml ", "", line) for line in lines]

    def changes(self) -> list[str]:
        asked = re.compile(r"(-f \S+ )?(up|run|pull|build|stop|exec)\b")
        return [re.sub(r"sh -c .*(mariadb-dump|mariadb) .*", r"\1", call) for call in self.calls() if asked.match(call)]
