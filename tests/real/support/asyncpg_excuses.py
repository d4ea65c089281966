"""The tests of asyncpg's own suite that cannot hold behind DBLB, each with its reason."""

from dataclasses import dataclass

#: What is not about a server that answers: the program's own text, values in memory, servers that the tests start by
#: themselves, and deadlines of 20 ms, which a busy machine misses without any proxy.
APART = (
    "_environment",
    "_sourcecode",
    "adversity",
    "record",
    "scram",
    "subinterpreters",
    "test",
    "timeout",
    "utils",
)
_ANALYSED = "prepares anew after another connection's DDL: one statement on the server serves all clients who said the same"
_NUMBER = "wants the number of the server's process, and was given the proxy's own"
_POOL = "fails without a proxy too: its pool forgets which database the test is about"
_SHARED = "ends a server's process whose connection clients share, and may be the one that uses it"
_OFTEN = "fails without a proxy too, one time in four: a connection that is let go of was still waited for"
_STARTS = "starts servers of its own"


@dataclass(frozen=True)
class Excuse:
    """Why a test of a module fails; `pooling`: only with that, or with every kind; `always`, or as connections are given."""

    module: str
    reason: str
    pooling: str = ""
    always: bool = True


EXCUSES = {
    "TestCacheInvalidation::test_prepare_cache_invalidation_in_pool": Excuse("cache_invalidation", _POOL),
    "TestCacheInvalidation::test_type_cache_invalidation_in_pool": Excuse("cache_invalidation", _POOL),
    "TestCacheInvalidation::test_prepare_cache_invalidation_silent": Excuse(
        "cache_invalidation", _ANALYSED, "transaction", always=False
    ),
    "TestCodecs::test_custom_codec_override_tuple": Excuse("codecs", _ANALYSED, always=False),
    "TestCopyTo::test_copy_records_to_table_no_stmt_cache": Excuse(
        "copy",
        "counts what is prepared on the server, where the proxy keeps statements for all",
        "transaction",
    ),
    "TestCopyTo::test_copy_records_to_table_unprintable_error": Excuse(
        "copy", _ANALYSED, "transaction", always=False
    ),
    "TestExecuteMany::test_executemany_server_failure_during_writes": Excuse(
        "execute",
        "counts what the client had sent when the server failed: the proxy may have taken all of it in",
        always=False,
    ),
    "TestListeners::test_listen_01": Excuse("listeners", _NUMBER),
    "TestListeners::test_listen_02": Excuse("listeners", _NUMBER),
    "TestListeners::test_listen_notletters": Excuse("listeners", _NUMBER),
    "TestPrepare::test_prepare_explicitly_named": Excuse(
        "prepare", "executes by SQL what was prepared by the protocol, which has another name on the server"
    ),
    "TestPool::test_pool_min_size_restored_after_idle_connection_loss": Excuse("pool", _NUMBER),
    "TestPool::test_pool_config_persistence": Excuse("pool", _OFTEN, always=False),
    "TestPool::test_pool_remote_close": Excuse("pool", _SHARED, "transaction", always=False),
    "TestIntrospection::test_introspection_sticks_for_ps": Excuse(
        "introspection", "drops a database to which pooled sessions are still open"
    ),
}
#: Without these the suite is run, because they would pass for one user and fail for another.
DESELECTED = {
    f"tests/test_connect.py::TestConnectionAttributes::{test}": _STARTS
    for test in (
        "test_prefer_standby_picks_master_when_standby_is_down",
        "test_prefer_standby_when_standby_is_up",
        "test_rejected_standby_is_terminated_before_primary",
        "test_target_attribute_not_matched",
        "test_target_server_attribute_port",
    )
}


def excused(pooling: str, modules: set[str]) -> tuple[set[str], set[str]]:
    """The tests of these modules that may fail, and those of them that do."""
    found = {
        name: excuse.always
        for name, excuse in EXCUSES.items()
        if excuse.module in modules and excuse.pooling in {"", pooling}
    }
    return set(found), {name for name, always in found.items() if always}
