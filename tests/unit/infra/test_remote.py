from infra.remote import cause_of

SIGNED = "https://account.blob.core.windows.net/box/a?sv=2026&sig=5ec2e7"


def test_a_cause_has_no_address_no_answer_and_no_duration():
    said = (
        f"Generic MicrosoftAzure error: Error performing GET {SIGNED} in 3.5ms, after 2 retries"
        " - Server returned non-2xx status code: 403 Forbidden: <?xml version='1.0'?>\n"
        "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>5ec2e7</StringToSign></Error>\n"
        f"Debug source: {SIGNED}"
    )
    assert cause_of(OSError(said)) == (
        "Generic MicrosoftAzure error: Error performing GET ..., after 2 retries"
        " - Server returned non-2xx status code: 403 Forbidden (SignatureDoesNotMatch)"
    )


def test_a_cause_has_no_token_of_an_identity_service():
    said = 'Error getting credentials - 400 Bad Request: {"access_token": "5ec2e7"}'
    assert cause_of(OSError(said)) == "Error getting credentials - 400 Bad Request"
