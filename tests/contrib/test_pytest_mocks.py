"""What tests that fake AWS by other means meet: moto's mock_aws, a patched `_make_api_call`, and botocore's Stubber."""

from __future__ import annotations

import pytest

from .inner_runs import run
from .support import ROOT

pytest_plugins = "pytester"


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be here without being installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_mock_aws_has_the_other_services(pytester: pytest.Pytester) -> None:
    """The requests of this library go to the embedded cluster all the same, and its items outlive moto's."""
    result = run(
        pytester,
        """
        import boto3
        import pynamodb.models
        from moto import mock_aws

        class Plain(pynamodb.models.Model):
            class Meta:
                table_name = "plain"
                region = "us-east-1"
            name = UnicodeAttribute(hash_key=True)

        @pytest.fixture
        def aws():
            with mock_aws():
                yield boto3.client("dynamodb", region_name="us-east-1")

        def check(aws, alternator_cluster):
            User("bob").save()
            assert aws.list_tables()["TableNames"] == []
            Plain.create_table(billing_mode="PAY_PER_REQUEST")
            Plain("carol").save()
            assert aws.scan(TableName="plain")["Count"] == 1
            assert pynamodb_alternator.get_cluster().client.list_tables()["TableNames"] == ["users"]
            boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="pictures")

        def test_mock_first(aws, alternator_cluster, alternator_models):
            alternator_models(User)
            check(aws, alternator_cluster)

        def test_mock_last(alternator_cluster, alternator_models, aws):
            alternator_models(User)
            check(aws, alternator_cluster)

        @mock_aws
        def test_decorator(alternator_cluster, alternator_models):
            alternator_models(User)
            check(boto3.client("dynamodb", region_name="us-east-1"), alternator_cluster)

        def test_a_block(alternator_cluster, alternator_models):
            alternator_models(User)
            User("alice").save()
            for _ in range(2):
                with mock_aws():
                    check(boto3.client("dynamodb", region_name="us-east-1"), alternator_cluster)
            assert sorted(user.name for user in User.scan()) == ["alice", "bob"]
        """,
        "-W",
        "ignore::DeprecationWarning:botocore",
    )
    result.assert_outcomes(passed=4)


def test_patches_and_stubs_are_asked_first(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from unittest.mock import patch

        import botocore.stub
        from pynamodb.exceptions import PutError

        ANSWER = {"Item": {"name": {"S": "nobody"}, "visits": {"N": "5"}}}

        @pytest.fixture(autouse=True)
        def no_request_arrives(alternator_cluster):
            yield
            assert [dict(node.operations) for node in alternator_cluster.nodes] == [{}, {}, {}]

        @pytest.mark.parametrize("where", [
            "botocore.client.BaseClient._make_api_call",
            "pynamodb.connection.base.Connection._make_api_call",
            "pynamodb_alternator.AlternatorConnection._make_api_call",
            "pynamodb.connection.base.Connection.dispatch",
        ])
        def test_a_patch(where):
            with patch(where, return_value=ANSWER) as call:
                assert User.get("alice").visits == 5
            operation, parameters, *_ = call.call_args.args
            assert operation == "GetItem"
            assert parameters["Key"] == {"name": {"S": "alice"}}

        def test_a_patch_with_self():
            asked = []

            def answer(client, operation, parameters):
                asked.append(operation)
                return ANSWER

            with patch("botocore.client.BaseClient._make_api_call", answer):
                User.get("alice")
                User("alice").save()
            assert asked == ["GetItem", "PutItem"]

        def test_stubber():
            with botocore.stub.Stubber(pynamodb_alternator.get_cluster().client) as stub:
                stub.add_response("get_item", ANSWER)
                stub.add_client_error("put_item", "ConditionalCheckFailedException")
                assert User.get("alice").visits == 5
                with pytest.raises(PutError) as caught:
                    User("alice").save()
                assert caught.value.cause_response_code == "ConditionalCheckFailedException"
                stub.assert_no_pending_responses()

        def test_stubber_of_boto3(alternator_client):
            with botocore.stub.Stubber(alternator_client) as stub:
                stub.add_response("get_item", ANSWER, {"TableName": "users", "Key": {"name": {"S": "alice"}}})
                assert alternator_client.get_item(TableName="users", Key={"name": {"S": "alice"}}) == ANSWER
        """,
    )
    result.assert_outcomes(passed=7)


def test_mock_aws_alone_catches_nothing(pytester: pytest.Pytester) -> None:
    """So such a test asks for a cluster."""
    result = run(
        pytester,
        """
        from moto import mock_aws
        from pynamodb_alternator.errors import NotSentError

        pynamodb_alternator.configure(default="http://127.0.0.1:1")

        @mock_aws
        def test_it():
            with pytest.raises(NotSentError):
                pynamodb_alternator.get_cluster().client.list_tables()
        """,
    )
    result.assert_outcomes(passed=1)
