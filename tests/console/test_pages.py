"""The files of the web application, the settings, and the command line."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tollgate_common.errors import CommandError
from tollgate_console.pages import Pages

WEB = Path(__file__).parents[2] / "services/console/web"
SETTINGS = {
    "TOLLGATE_PORT": "8085",
    "TOLLGATE_CONSOLE_URL": "http://127.0.0.1:8085",
    "TOLLGATE_PUBLIC_API_URL": "http://127.0.0.1:8080/v1",
    "TOLLGATE_ACCOUNTS_URL": "http://accounts",
    "TOLLGATE_ANALYTICS_URL": "http://analytics",
    "TOLLGATE_BALANCE_URL": "http://balance",
    "TOLLGATE_BILLING_URL": "http://billing",
}


async def test_every_path_serves_the_page_without_caching(stranger: httpx.AsyncClient) -> None:
    for path in ("/", "/keys", "/requests/0190", "/no/such/page"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["cache-control"] == "no-cache"
    assert (await stranger.head("/")).status_code == 200
    assert (await stranger.post("/")).status_code == 405


async def test_assets_are_immutable_and_compressed(stranger: httpx.AsyncClient, static: Path) -> None:
    answer = await stranger.get("/assets/main-ABC.js")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"].endswith("immutable")
    assert answer.text == (static / "assets/main-ABC.js").read_text()
    plain = await stranger.get("/assets/main-ABC.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(gzip.compress(plain.content)) < len(plain.content)


async def test_unknown_assets_are_not_found(stranger: httpx.AsyncClient) -> None:
    for name in ("none.js", "..%2findex.html", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"):
        assert (await stranger.get(f"/assets/{name}")).status_code in (404, 200)
        assert "root:" not in (await stranger.get(f"/assets/{name}")).text
    assert (await stranger.get("/assets/none.js")).status_code == 404


def test_an_application_that_is_not_built_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="web/build"):
        Pages(tmp_path)


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    command = [sys.executable, "-m", "tollgate_console.main", "--check-config"]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_wrong_setting_is_named() -> None:
    done = run(SETTINGS | {"TOLLGATE_CONSOLE_URL": "console"})
    assert done.returncode == 1
    assert "TOLLGATE_CONSOLE_URL" in done.stderr
    assert "'console'" in done.stderr
    done = run({name: value for name, value in SETTINGS.items() if name != "TOLLGATE_PUBLIC_API_URL"})
    assert "TOLLGATE_PUBLIC_API_URL" in done.stderr
    assert "not set" in done.stderr


@pytest.mark.parametrize("folder", [WEB, WEB / "api-types"])
def test_the_lock_file_names_no_registry(folder: Path) -> None:
    assert "resolved" not in (folder / "package-lock.json").read_text()


def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    page = (WEB / "src/index.html").read_text()
    assert not re.findall(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)
