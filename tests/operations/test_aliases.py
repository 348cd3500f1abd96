from __future__ import annotations

from collections import Counter

import pytest

from engine.errors import (
    ConflictException,
    InvalidArn,
    InvalidToken,
    ResourceNotFound,
    StateMachineDoesNotExist,
    ValidationException,
)
from engine.operations.aliases import (
    create_state_machine_alias,
    delete_state_machine_alias,
    describe_state_machine_alias,
    list_state_machine_aliases,
    update_state_machine_alias,
)
from engine.operations.resources import target
from engine.operations.state_machines import delete_state_machine
from engine.operations.versions import delete_state_machine_version
from tests.operations.test_state_machines import HEAD, created, passing, updated

pytestmark = pytest.mark.anyio

MACHINE = HEAD + "m"
PROD = MACHINE + ":prod"


def routing(*routes: tuple[object, int]):
    return [
        {"stateMachineVersionArn": f"{MACHINE}:{to}" if isinstance(to, int) else to, "weight": weight}
        for to, weight in routes
    ]


async def made(service, name="prod", *, to=None, **members):
    given = routing((1, 100)) if to is None else to
    return await create_state_machine_alias(service, name=name, routing_configuration=given, **members)


async def described(service, arn=PROD):
    return await describe_state_machine_alias(service, state_machine_alias_arn=arn)


@pytest.fixture
async def two(service):
    """A state machine with two versions."""
    await created(service, publish=True)
    await updated(service, definition=passing(Comment="2"), publish=True)
    return service


async def test_an_alias_is_described_as_it_was_made(two):
    answer = await made(two, description="d", to=routing((1, 20), (2, 80)))
    assert answer["state_machine_alias_arn"] == PROD
    assert await described(two) == {
        "state_machine_alias_arn": PROD,
        "name": "prod",
        "description": "d",
        "routing_configuration": routing((1, 20), (2, 80)),
        "creation_date": answer["creation_date"],
        "update_date": answer["creation_date"],
    }
    assert await made(two, description="d", to=routing((1, 20), (2, 80))) == answer
    for other in ({"to": routing((1, 100)), "description": "d"}, {"to": routing((1, 20), (2, 80))}):
        with pytest.raises(ConflictException) as caught:
            await made(two, **other)
        assert caught.value.message == (
            "Failed to create alias because an alias with the same name and a different routing configuration "
            "already exists."
        )


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (routing((1, 70), (2, 29)), "Sum of routing configuration weights must equal 100. Received: [70, 29]"),
        (
            routing((1, 50), (1, 50)),
            "Routing configuration must contain distinct state machine version ARNs. "
            f"Received: [{MACHINE}:1, {MACHINE}:1]",
        ),
        (
            routing((MACHINE, 50), (1, 50)),
            f"Routing configuration must contain state machine version ARNs. Received: [{MACHINE}, {MACHINE}:1]",
        ),
        (
            routing((HEAD + "n:1", 50), (1, 50)),
            f"Routing configuration must contain state machine version ARNs. Received: [{HEAD}n:1, {MACHINE}:1]",
        ),
    ],
)
async def test_a_routing_that_is_none_is_refused_in_the_words_of_aws(two, to, message):
    await made(two)
    for call in (
        made(two, "other", to=to),
        update_state_machine_alias(two, state_machine_alias_arn=PROD, routing_configuration=to),
    ):
        with pytest.raises(ValidationException) as caught:
            await call
        assert (caught.value.message, caught.value.reason) == (message, "INVALID_ROUTING_CONFIGURATION")


async def test_a_version_that_is_not_there_can_not_be_routed_to(two):
    for to in (routing((3, 100)), routing((HEAD + "n:1", 100))):
        with pytest.raises(ResourceNotFound, match=r"^Request references a resource that does not exist\.$"):
            await made(two, to=to)
    with pytest.raises(InvalidArn):
        await made(two, to=routing(("x", 100)))


async def test_an_update_replaces_what_is_given_and_no_more(two):
    first = await made(two, description="d")
    answer = await update_state_machine_alias(
        two, state_machine_alias_arn=PROD, routing_configuration=routing((2, 100))
    )
    shown = await described(two)
    assert (shown["description"], shown["routing_configuration"]) == ("d", routing((2, 100)))
    assert (shown["creation_date"], shown["update_date"]) == (first["creation_date"], answer["update_date"])
    await update_state_machine_alias(two, state_machine_alias_arn=PROD, description="e")
    assert (await described(two))["description"] == "e"
    with pytest.raises(ValidationException) as caught:
        await update_state_machine_alias(two, state_machine_alias_arn=PROD)
    assert caught.value.reason == "MISSING_REQUIRED_PARAMETER"
    for arn in (MACHINE + ":test", HEAD + "n:prod"):
        with pytest.raises(ResourceNotFound):
            await update_state_machine_alias(two, state_machine_alias_arn=arn, description="e")
        with pytest.raises(ResourceNotFound):
            await described(two, arn)


async def test_an_alias_can_be_deleted_again_and_again_and_frees_its_version(two):
    await made(two)
    with pytest.raises(ConflictException, match=r"referencing this version: \[prod\]$"):
        await delete_state_machine_version(two, state_machine_version_arn=MACHINE + ":1")
    for _ in range(2):
        assert await delete_state_machine_alias(two, state_machine_alias_arn=PROD) == {}
    await delete_state_machine_version(two, state_machine_version_arn=MACHINE + ":1")
    with pytest.raises(ResourceNotFound):
        await delete_state_machine_alias(two, state_machine_alias_arn=HEAD + "n:prod")
    for arn in (MACHINE, MACHINE + ":1", "x"):
        with pytest.raises(InvalidArn):
            await delete_state_machine_alias(two, state_machine_alias_arn=arn)


async def names(service, arn=MACHINE, **members):
    answer = await list_state_machine_aliases(service, state_machine_arn=arn, **members)
    found = [item["state_machine_alias_arn"].rpartition(":")[2] for item in answer["state_machine_aliases"]]
    return found, answer.get("next_token")


async def test_aliases_are_listed_in_pages_of_all_versions_or_one(two):
    for name, to in (("c", 1), ("a", 2), ("b", 1)):
        await made(two, name, to=routing((to, 100)))
    assert await names(two) == (["a", "b", "c"], None)
    assert await names(two, MACHINE + ":1") == (["b", "c"], None)
    first, token = await names(two, max_results=1)
    assert (first, await names(two, next_token=token)) == (["a"], (["b", "c"], None))
    with pytest.raises(InvalidToken):
        await names(two, MACHINE + ":1", next_token=token)
    for arn in (HEAD + "n", MACHINE + ":a"):
        with pytest.raises(StateMachineDoesNotExist, match=arn):
            await names(two, arn)
    with pytest.raises(ResourceNotFound):
        await names(two, MACHINE + ":3")


async def test_a_start_through_an_alias_is_drawn_for_by_weight(two):
    await made(two, to=routing((1, 20), (2, 80)))
    await made(two, "all", to=routing((1, 0), (2, 100)))
    drawn = Counter([(await target(two, PROD)).version_arn for _ in range(500)])
    assert set(drawn) == {MACHINE + ":1", MACHINE + ":2"}
    assert 50 < drawn[MACHINE + ":1"] < 150
    found = await target(two, MACHINE + ":all")
    assert (found.version_arn, found.alias_arn) == (MACHINE + ":2", MACHINE + ":all")
    assert found.machine.definition == passing(Comment="2")
    assert {(await target(two, MACHINE + ":all")).version_arn for _ in range(50)} == {MACHINE + ":2"}
    by_version = await target(two, MACHINE + ":1")
    assert (by_version.machine.definition, by_version.alias_arn) == (passing(), None)
    plain = await target(two, MACHINE)
    assert (plain.machine.definition, plain.version_arn) == (passing(Comment="2"), None)


async def test_aliases_do_not_keep_a_state_machine_from_being_deleted(two):
    await made(two)
    await delete_state_machine(two, state_machine_arn=MACHINE)
    with pytest.raises(ResourceNotFound):
        await described(two)
