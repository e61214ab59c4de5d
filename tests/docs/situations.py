"""What goes wrong on day two, and the ways out: what the product says, and the test that plays it.

`python -m tests.docs.situations` writes both tables into docs/testing.md.
"""

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs/testing.md"


class Situation(NamedTuple):
    """A row of the first table.

    Args:
        what: the situation.
        says: an exit code, or a piece of text that stands in the source.
        test: file::name.
    """

    what: str
    says: str
    test: str


class WayOut(NamedTuple):
    """A row of the second table.

    Args:
        said: `exit` and a code, the reason for not being ready, or the reason of a dead letter.
        way: what leads out of it.
        test: file::name of the test that goes that way.
    """

    said: str
    way: str
    test: str


ONE = "tests/integration/test_one_application.py"
LOST = "tests/integration/test_lost_topics.py"
READY = "tests/integration/test_readiness.py"
PREVIOUS = "tests/integration/test_previous_release.py"
RUNNING = "tests/doctor/test_running.py"

SITUATIONS = (
    Situation(
        "`PAYMENT_JOIN` is turned off",
        "ready; metrics without the topic",
        f"{READY}::test_payments_are_joined_no_more_and_the_worker_is_ready_and_scraped",
    ),
    Situation(
        "another `TOPIC_PREFIX` with the same `APP_ID`, while it runs",
        "exit 2: `belongs to the installation with TOPIC_PREFIX`",
        f"{ONE}::test_another_prefix_is_refused_while_the_application_runs_and_nothing_is_fenced",
    ),
    Situation(
        "the same while it is stopped",
        "exit 2: `belongs to the installation with TOPIC_PREFIX`",
        f"{ONE}::test_another_prefix_is_refused_when_the_application_is_stopped",
    ),
    Situation(
        "two fresh installations that start at once with one `APP_ID`",
        "exit 2 of one of them",
        f"{ONE}::test_two_fresh_installations_that_start_at_once_do_not_share_a_group",
    ),
    Situation(
        "workers join one after the other, and one comes back",
        "each holds its share",
        "tests/integration/test_fair_shares.py::test_each_worker_gets_its_share_however_they_come_and_go",
    ),
    Situation(
        "one of several processes is killed",
        "`a process has ended and is started again`; the others answer",
        "tests/integration/test_processes.py::test_two_processes_answer_as_one_and_a_killed_one_comes_back",
    ),
    Situation(
        "the supervisor of several processes is killed",
        "its processes end",
        "tests/integration/test_processes.py::test_processes_end_with_a_supervisor_that_was_killed",
    ),
    Situation(
        "more workers than partitions",
        "ready as a standby",
        f"{READY}::test_a_worker_without_a_partition_is_ready_because_there_are_more_workers_than_partitions",
    ),
    Situation(
        "the group is held by another program",
        "exit 2: `is used by a program that is not a worker of ours`",
        f"{ONE}::test_a_group_that_another_program_holds_is_refused_and_taken_once_that_has_gone",
    ),
    Situation(
        "an input topic was lost",
        "exit 74: `is gone, and positions in it are known`",
        f"{LOST}::test_a_lost_input_topic_ends_the_worker_and_is_read_anew_once_its_loss_is_accepted",
    ),
    Situation(
        "an input topic was made anew by someone",
        "exit 74: `is past its end`",
        f"{LOST}::test_a_topic_that_someone_made_anew_is_told_with_the_way_out",
    ),
    Situation(
        "a changelog was lost",
        "exit 74: `the local stores may be the last copy of the tables`",
        f"{LOST}::test_a_lost_changelog_is_not_made_anew",
    ),
    Situation(
        "Kafka lost everything",
        "exit 74: `Kafka has no changelog of this APP_ID`",
        f"{LOST}::test_a_kafka_that_lost_everything_is_not_served_from_nothing",
    ),
    Situation(
        "data of a newer release, at the start and at a takeover",
        "exit 78: `data of a newer version`",
        f"{ONE}::test_data_of_a_newer_version_is_refused_at_the_start_and_at_a_takeover",
    ),
    Situation(
        "the previous release runs, and this one starts beside it",
        "exit 2: `workers of an earlier release`",
        f"{PREVIOUS}::test_this_release_is_refused_beside_the_previous_one_and_takes_over_once_that_has_stopped",
    ),
    Situation(
        "this release runs, and the previous one starts beside it",
        "the previous one gets no partition",
        f"{PREVIOUS}::test_the_previous_release_gets_nothing_beside_this_one",
    ),
    Situation(
        "a version of the rules that has counted was changed",
        "exit 2: `The rules file says something else of version`",
        f"{ONE}::test_a_version_that_has_counted_may_not_say_something_else",
    ),
    Situation(
        "a worker lacks a set of rules that others have",
        "not ready: `the rules file lacks version`",
        f"{ONE}::test_a_worker_that_lacks_rules_is_not_ready_and_takes_nothing_that_would_count_otherwise",
    ),
    Situation(
        "the first set of rules begins after 1970-01-01",
        "exit 2: `the first set must begin at 1970-01-01`",
        "tests/wire/test_rules_file.py::test_a_file_that_leaves_days_without_rules_is_refused",
    ),
    Situation(
        "Kafka is silent",
        "not ready: `Kafka has not answered for`",
        f"{READY}::test_a_worker_whose_kafka_is_silent_says_so_and_is_ready_again_when_it_answers",
    ),
    Situation(
        "a partition with lag stands still",
        "not ready: `records and has made no progress for`",
        "tests/app/test_lag.py::test_a_partition_with_lag_that_stands_still_is_told_and_one_that_moves_is_not",
    ),
    Situation(
        "a worker's clock is days ahead",
        "log: `this worker's clock is not Kafka's`",
        "tests/engine/test_kafka_clock.py::test_a_clock_that_is_days_ahead_is_put_right",
    ),
    Situation(
        "the doctor is asked about a running application",
        "members, partitions, lag, dead letters",
        f"{RUNNING}::test_members_partitions_lag_and_dead_letters_are_told",
    ),
    Situation(
        "the port is held by a worker of another installation",
        "doctor: `is in use by a worker of another application`",
        f"{RUNNING}::test_the_port_of_another_installations_worker_is_a_fault",
    ),
    Situation(
        "workers disagree in release, setting or rules",
        "doctor: `Finish the upgrade.`",
        f"{RUNNING}::test_workers_that_disagree_are_told",
    ),
)


OUT = "tests/integration/test_ways_out.py"
LOST_INPUTS = "tests/integration/test_lost_inputs.py"
LAG = "tests/app/test_lag.py"
REPLAY = "`dead-letters replay --offset N --edit FILE`"
MENDED = f"{OUT}::test_a_letter_that_was_mended_counts"

WAYS_OUT = (
    WayOut(
        "exit 2",
        "correct the setting, or stop the other program",
        f"{ONE}::test_a_group_that_another_program_holds_is_refused_and_taken_once_that_has_gone",
    ),
    WayOut(
        "exit 70",
        "a restart; the input at hand is `FAILED` after three failures",
        "tests/faults/test_faults.py::test_nothing_is_lost_and_nothing_doubled",
    ),
    WayOut(
        "exit 71",
        "a restart",
        "tests/engine/test_crashes.py::test_crashes_freezes_and_stops_lose_nothing_and_double_nothing",
    ),
    WayOut(
        "exit 72",
        "grant the right that the log names",
        "tests/security/test_least_privilege.py"
        "::test_a_worker_without_the_right_to_its_transactions_ends_with_72_and_starts_once_it_is_granted",
    ),
    WayOut(
        "exit 73",
        "a restart",
        "tests/engine/test_crashes.py::test_crashes_freezes_and_stops_lose_nothing_and_double_nothing",
    ),
    WayOut(
        "exit 74",
        "`customer-context topics --accept-loss TOPIC`",
        f"{LOST}::test_a_lost_input_topic_ends_the_worker_and_is_read_anew_once_its_loss_is_accepted",
    ),
    WayOut(
        "exit 75",
        "nothing; the process has ended",
        "tests/engine/test_watchdog.py::test_a_shutdown_that_hangs_after_the_loop_ends_too",
    ),
    WayOut(
        "exit 76",
        "a restart",
        f"{LOST_INPUTS}::test_a_worker_whose_next_input_is_removed_while_it_runs_says_so",
    ),
    WayOut(
        "exit 77",
        "a restart, which makes a corrupt store anew",
        "tests/engine/test_corrupt_store.py"
        "::test_a_store_that_was_found_corrupt_is_made_anew_at_the_next_start_and_kept",
    ),
    WayOut(
        "exit 78",
        "start the newer release",
        f"{ONE}::test_data_of_a_newer_version_is_refused_at_the_start_and_at_a_takeover",
    ),
    WayOut(
        "exit 79",
        "a restart",
        "tests/engine/patches/test_tasks.py::test_a_task_that_dies_ends_the_process_and_is_named",
    ),
    WayOut(
        "no partition is assigned and restored",
        "wait",
        "tests/integration/test_console_worker.py"
        "::test_a_worker_processes_soon_after_its_start_on_an_empty_group",
    ),
    WayOut(
        "the group is rebalancing",
        "wait",
        "tests/integration/test_fair_shares.py::test_each_worker_gets_its_share_however_they_come_and_go",
    ),
    WayOut(
        "Kafka has not answered for",
        "bring Kafka back",
        f"{READY}::test_a_worker_whose_kafka_is_silent_says_so_and_is_ready_again_when_it_answers",
    ),
    WayOut(
        "Kafka has not told the ends of",
        "`customer-context doctor` names the topic; bring it back",
        f"{LAG}::test_a_topic_that_is_gone_does_not_hide_the_lag_of_the_others",
    ),
    WayOut(
        "inputs lost to retention in",
        "`customer-context inputs-lost acknowledge`",
        f"{LOST_INPUTS}::test_a_loss_is_said_by_everyone_until_it_is_acknowledged",
    ),
    WayOut(
        "and has made no progress for",
        "it goes on, or is restarted",
        f"{LAG}::test_a_partition_with_lag_that_stands_still_is_told_and_one_that_moves_is_not",
    ),
    WayOut(
        ", which others have and which is in force from",
        "give it the same rules file, and start it again",
        f"{ONE}::test_a_worker_that_lacks_rules_is_not_ready_and_takes_nothing_that_would_count_otherwise",
    ),
    WayOut(
        "of the rules file says something else on another worker",
        "give it the same rules file, and start it again",
        "tests/app/test_rules_watch.py"
        "::test_a_version_that_says_something_else_elsewhere_counts_once_it_begins",
    ),
    WayOut(
        "this process does not answer",
        "wait; the supervisor starts it again",
        "tests/integration/test_processes.py::test_two_processes_answer_as_one_and_a_killed_one_comes_back",
    ),
    WayOut("UNDECODABLE", REPLAY, MENDED),
    WayOut("INVALID", REPLAY, MENDED),
    WayOut("TOO_LARGE", REPLAY, MENDED),
    WayOut("CUSTOMER_ERASED", f"{REPLAY}, if another customer is meant", MENDED),
    WayOut(
        "WAITING_LIMIT",
        "register the customer, then replay",
        f"{OUT}::test_what_was_too_much_to_wait_counts_once_its_customer_is_registered",
    ),
    WayOut(
        "WAITING_EXPIRED",
        "register the customer, then replay",
        f"{OUT}::test_what_waited_for_too_long_counts_once_its_customer_is_registered",
    ),
    WayOut(
        "FAILED",
        "a release that mends the cause, then replay",
        f"{OUT}::test_an_input_on_which_an_earlier_release_failed_counts_with_one_that_does_not",
    ),
)


def tables() -> dict[str, str]:
    """The Markdown tables, by the name of their place in the page."""
    situations = [f"| {each.what} | {each.says} | `{each.test}` |" for each in SITUATIONS]
    ways_out = [f"| `{each.said}` | {each.way} | `{each.test}` |" for each in WAYS_OUT]
    return {
        "situations": "\n".join(
            ["| situation | what the product says | test |", "|---|---|---|", *situations, ""]
        ),
        "ways out": "\n".join(["| said | way out | test |", "|---|---|---|", *ways_out, ""]),
    }


def page(text: str) -> str:
    """The page with the tables put in."""
    for name, table in tables().items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, rest = text.split(begin)
        text = before + begin + table + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
