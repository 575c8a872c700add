"""A key that somebody gives as the name of a picture."""

from service.access.token import Token
from tests.service.pictures import png


async def test_it_is_blotted_out_before_it_stays_on_a_certificate(client):
    token = Token.new()
    few = {"max_votes": "20", "good_enough": "none"}
    answer = await client.post("/certify", files={"image": (f"{token.text}.png", png())}, data=few)
    assert answer.status_code == 200, answer.text
    assert answer.json()["image"]["source"]["name"] == f"surety_{token.key_id}_….png"
    assert token.secret not in answer.text
