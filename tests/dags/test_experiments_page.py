"""The page "Experiments" as people meet it: behind Airflow's login, in a browser, by keyboard and on a phone."""

from __future__ import annotations

import pytest

from recsys.jobs.airflow_local import USER
from tests.dags import site as sites
from tests.dags.site import PAGE, SECRET, Site
from tests.reports import planted

pytestmark = pytest.mark.airflow
PATHS = (
    PAGE,
    f"{PAGE}{planted.ID}/",
    f"{PAGE}{planted.ID}/read-out.html",
    f"{PAGE}{planted.ID}/read-out.md",
    f"{PAGE}{planted.ID}",
    f"{PAGE}nothing/",
    f"{PAGE}docs",
    f"{PAGE}openapi.json",
)
CONTRAST = """
const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
const light = ([r, g, b]) => { const f = c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
  if (c[3] > .99) return c; } return [255, 255, 255, 1]; };
const poor = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility() || e.closest('option, meter')) continue;
  const style = getComputedStyle(e), svg = e.closest('svg');
  const a = light(parse(svg ? style.fill : style.color)), b = light(behind(e));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) poor.push(`${e.tagName} ${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
}
return poor;
"""
FOCUS = """
const e = document.activeElement, style = getComputedStyle(e);
return {text: e.textContent.trim() || e.id, id: e.id, tag: e.tagName, top: e.getBoundingClientRect().top,
        outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2};
"""
TARGETS = """
return [...document.querySelectorAll('a, button, select, summary')].filter(e => e.checkVisibility()).map(e => {
  const box = e.getBoundingClientRect(); return [e.textContent.trim().slice(0, 30), Math.min(box.width, box.height)]; });
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with sites.running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    return site.token()


@pytest.fixture(scope="module")
def driver(site: Site):
    """A browser that has logged in by Airflow's own form."""
    from selenium.webdriver.common.by import By

    if sites.no_browser():
        pytest.skip(sites.no_browser())
    with sites.browser() as driver:
        sites.size(driver, 1280)
        driver.get(site.url + PAGE)
        assert planted.ID not in driver.page_source
        driver.find_element(By.LINK_TEXT, "Log in to Airflow").click()
        found(driver, By.NAME, "username").send_keys(USER)
        driver.find_element(By.NAME, "password").send_keys(site.password)
        driver.find_element(By.NAME, "password").submit()
        found(driver, By.LINK_TEXT, "Experiments")
        yield driver


def found(driver, by, what):
    from selenium.webdriver.support.expected_conditions import presence_of_element_located
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 40).until(presence_of_element_located((by, what)))


@pytest.mark.parametrize("path", PATHS)
def test_an_anonymous_request_gets_no_data(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status == 401
    assert not any(word in answer.text for word in (planted.ID, "EUR", "hybrid", "paths"))
    assert "auth/login" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_there_is_no_other_way_in(site: Site, method: str) -> None:
    answer = site.get(PAGE, method=method)
    assert answer.status in {401, 404, 405}
    assert planted.ID not in answer.text


def test_a_token_of_ones_own_making_gets_no_data(site: Site, token: str) -> None:
    import jwt

    claims = jwt.decode(token, options={"verify_signature": False})
    forged = jwt.encode(claims, "x" * 64, algorithm="HS512")
    assert site.get(PAGE, forged).status == 403
    assert site.get(PAGE, Cookie=f"_token={forged}").status in {401, 403}
    assert planted.ID not in site.get(PAGE, forged).text
    assert site.get(PAGE, jwt.encode(claims, SECRET, algorithm="HS512")).status == 200  # the claims are good


def test_who_may_not_read_the_dag_may_not_read_what_it_found(site: Site, token: str) -> None:
    import jwt

    claims = jwt.decode(token, options={"verify_signature": False}) | {"role": None}
    answer = site.get(PAGE, jwt.encode(claims, SECRET, algorithm="HS512"))
    assert answer.status == 403
    assert "experiment_metrics_daily" in answer.text
    assert planted.ID not in answer.text


def test_a_program_reads_with_its_token(site: Site, token: str) -> None:
    listed = site.get(PAGE, token)
    assert listed.status == 200
    assert planted.ID in listed.text
    assert "planted_soon" in listed.text
    assert "default-src 'none'" in listed.headers["Content-Security-Policy"]
    assert site.get(f"{PAGE}{planted.ID}/read-out.md", token).text.startswith("# planted\\_lists: Continue")
    assert "Continue" in site.get(f"{PAGE}{planted.ID}/read-out.html", token).text
    assert "Nobody has been counted yet" in site.get(f"{PAGE}planted_soon/", token).text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("planted_list/", "Did you mean planted_lists?"),
        (f"{planted.ID}/?ds=yesterday", "yesterday"),
        ("..%2f..%2fetc%2fpasswd/", "Not found"),
        (f"{planted.ID}/more/", "Not found"),
        ("%3Cscript%3Ealert(1)%3C%2Fscript%3E/", "Not found"),
    ],
)
def test_what_is_not_there_is_said(site: Site, token: str, path: str, told: str) -> None:
    answer = site.get(PAGE + path, token)
    assert answer.status == 404
    assert told in answer.text
    assert "<script>" not in answer.text


def test_it_is_found_in_the_navigation_and_stays_inside_airflow(site: Site, driver) -> None:
    from selenium.webdriver.common.by import By

    sites.size(driver, 1280, 1000)
    driver.get(site.url)
    found(driver, By.LINK_TEXT, "Experiments").click()
    frame = found(driver, By.CSS_SELECTOR, "iframe[title=Experiments]")
    driver.switch_to.frame(frame)
    found(driver, By.LINK_TEXT, planted.ID).click()
    assert "Not known yet" in found(driver, By.CLASS_NAME, "answers").text
    driver.switch_to.default_content()
    sites.screenshot(driver, "experiments_in_airflow", 1280)


def test_the_page_tells_all_and_loads_nothing_else(site: Site, driver) -> None:
    from selenium.webdriver.common.by import By

    sites.size(driver, 1280)
    driver.get(f"{site.url}{PAGE}{planted.ID}/")
    assert [h.text for h in driver.find_elements(By.TAG_NAME, "h2")] == [
        "In short", "Arms", "Lift over time", "Metrics", "Guardrails", "Checks", "Segments", "Power left",
        "Decision log", "Definition",
    ]  # fmt: skip
    assert driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 1280
    assert driver.find_element(By.CSS_SELECTOR, ".wide svg").is_displayed()
    wider = (
        "return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert driver.execute_script(wider) == 0
    path = sites.screenshot(driver, "experiment", 1280)
    assert path.stat().st_size > 50_000


def test_an_earlier_read_out_stays_as_it_was(site: Site, driver) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    driver.get(f"{site.url}{PAGE}{planted.ID}/")
    Select(driver.find_element(By.ID, "ds")).select_by_visible_text("10 Feb 2026")
    driver.find_element(By.CSS_SELECTOR, "form button").click()
    found(driver, By.CSS_SELECTOR, "option[value='2026-02-10'][selected]")
    assert "data up to 10 Feb 2026" in driver.find_element(By.CLASS_NAME, "meta").text
    assert len(driver.find_elements(By.CSS_SELECTOR, "section[aria-labelledby=decisions] tbody tr")) == 1
    assert len(driver.find_elements(By.CSS_SELECTOR, ".wide circle")) == 2 * 10


def test_by_keyboard(site: Site, driver) -> None:
    """The first stop skips to the content; the others come in the order of the page, each to be seen."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    sites.size(driver, 1280)
    driver.get(f"{site.url}{PAGE}{planted.ID}/")
    expected = driver.execute_script(
        "return [...document.querySelectorAll('a, select, button, summary')].map(e => e.textContent.trim() || e.id)"
    )
    body = driver.find_element(By.TAG_NAME, "body")
    stops = []
    for _ in expected:
        body.send_keys(Keys.TAB)
        stops.append(driver.execute_script(FOCUS))
    assert [stop["text"] for stop in stops] == expected
    assert stops[0]["text"] == "Skip to the content"
    assert stops[0]["top"] >= 0
    assert all(stop["outline"] for stop in stops)
    driver.get(f"{site.url}{PAGE}{planted.ID}/")
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert driver.execute_script(FOCUS)["id"] == "main"
    summary = driver.find_element(By.TAG_NAME, "summary")
    summary.send_keys(Keys.ENTER)
    assert driver.find_element(By.CSS_SELECTOR, "details table").is_displayed()


@pytest.mark.parametrize("path", ["", f"{planted.ID}/"])
def test_on_a_phone(site: Site, driver, path: str) -> None:
    from selenium.webdriver.common.by import By

    sites.size(driver, 375, 812)
    driver.get(site.url + PAGE + path)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 375
    assert [target for target in driver.execute_script(TARGETS) if target[1] < 24] == []
    beyond = driver.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && "
        "e.getBoundingClientRect().right > 376).map(e => e.tagName + e.textContent.slice(0, 30))"
    )
    assert beyond == []
    if path:
        assert driver.find_element(By.CSS_SELECTOR, ".narrow svg").is_displayed()
        assert not driver.find_element(By.CSS_SELECTOR, ".wide svg").is_displayed()
    sites.screenshot(driver, f"{'experiment' if path else 'experiments'}_phone", 375)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out(site: Site, driver, dark: bool) -> None:
    for path in ("", f"{planted.ID}/", "nothing/"):
        sites.size(driver, 1280, dark=dark)
        driver.get(site.url + PAGE + path)
        assert driver.execute_script(CONTRAST) == []


def test_a_warehouse_that_cannot_be_read_is_said(site: Site, token: str) -> None:
    damaged = site.warehouse / "experiments" / "results" / "ds=2026-02-15.parquet"
    damaged.write_bytes(b"no parquet")
    try:
        answer = site.get(PAGE, token)
        assert site.get(PAGE).status == 401
    finally:
        damaged.unlink()
    assert answer.status == 503
    assert "ds=2026-02-15.parquet" in answer.text
