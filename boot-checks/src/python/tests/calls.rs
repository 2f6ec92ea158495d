use super::{lines, report};

const MESH: &str = "\
import functools

class Mesh:
    async def publish(self):
        pass
    def close(self):
        pass
    async def stream(self):
        yield 1

def create_task(x):
    return x

async def run():
    pass

@functools.lru_cache
async def wrapped():
    pass

mesh = Mesh()
";

#[track_caller]
fn check(main: &str, expect: &[u32]) {
    let report = report(&[
        ("app/__init__.py", "from .mesh import run as again\n"),
        ("app/mesh.py", MESH),
        ("app/main.py", main),
    ]);
    let seen: Vec<u32> = report
        .problems
        .iter()
        .map(|problem| problem.place.line)
        .collect();
    assert_eq!(seen, expect, "{:?}", lines(&report));
    assert!(
        report
            .problems
            .iter()
            .all(|problem| problem.kind.code() == "coroutine_not_awaited")
    );
}

#[test]
fn a_coroutine_that_is_thrown_away_is_found_by_its_definition() {
    check("from app.mesh import run\ndef f():\n    run()\n", &[3]);
    check("from app import again\nagain()\n", &[2]);
    check(
        "from app.mesh import mesh\nasync def f():\n    mesh.publish()\n",
        &[3],
    );
    check("import app.mesh\napp.mesh.mesh.publish()\n", &[2]);
    check(
        "from app.mesh import Mesh\nclass A:\n    def __init__(self):\n        self.m = Mesh()\n    def g(self):\n        self.m.publish()\n",
        &[6],
    );
    check(
        "from app.mesh import Mesh\nclass A(Mesh):\n    def g(self):\n        self.publish()\n",
        &[4],
    );
    check(
        "from app.mesh import Mesh\ndef f():\n    m = Mesh()\n    m.publish()\n",
        &[4],
    );
    check(
        "def f():\n    from app.mesh import mesh\n    mesh.publish()\n",
        &[3],
    );
}

#[test]
fn a_coroutine_that_is_used_or_not_known_is_left_alone() {
    check(
        "from app.mesh import run\nasync def f():\n    await run()\n    x = run()\n    return run()\n",
        &[],
    );
    check(
        "import asyncio\nfrom app.mesh import run\nasyncio.run(run())\nasyncio.create_task(run())\n",
        &[],
    );
    check(
        "from app.mesh import run, create_task\ncreate_task(run())\n",
        &[],
    );
    check(
        "from app.mesh import mesh\nmesh.close()\nmesh.stream()\n",
        &[],
    );
    check("from app.mesh import wrapped\nwrapped()\n", &[]);
    check("from app.mesh import run\ndef f(run):\n    run()\n", &[]);
    check("from app.mesh import run\nrun = print\nrun()\n", &[]);
    check(
        "from app.mesh import mesh\nmesh.publish = print\nmesh.publish()\n",
        &[],
    );
    check(
        "from app.mesh import Mesh\nclass A:\n    def __init__(self, m):\n        self.m = m or Mesh()\n    def g(self):\n        self.m.publish()\n",
        &[],
    );
    check(
        "from app.mesh import Mesh\nclass B(Mesh):\n    def publish(self):\n        pass\nclass A(Mesh):\n    def g(self):\n        self.publish()\n",
        &[],
    );
    check("def publish():\n    pass\npublish()\n", &[]);
}
