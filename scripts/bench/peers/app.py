"""The edge's two jobs as they are done with FastAPI and Redis (Debian's packages).

Measured beside ours.  Tokens are verified once and remembered in the process,
limits are counters of fixed windows, all Redis commands of a request travel in
one pipeline over a Unix socket; uvicorn runs on uvloop and httptools.
"""

import os
import time
import uuid

import jwt
import redis.asyncio as redis
from fastapi import FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field

app = FastAPI()
login = {"username": "admin", "password": os.environ["PEER_PASSWORD"]}
cache = redis.Redis(unix_socket_path=os.environ["PEER_CACHE"], **login)
queue = redis.Redis(unix_socket_path=os.environ["PEER_QUEUE"], **login)
keys = jwt.PyJWKSet.from_json(open(os.environ["PEER_JWKS"]).read()).keys
tokens = {}


class Booking(BaseModel):
    partner: str = Field(regex="^[a-z0-9_-]{1,32}$")
    venue_id: str = Field(min_length=1, max_length=128)
    booking_date: str
    party_size: int = Field(ge=1, le=50)


def caller(authorization):
    known = tokens.get(authorization)
    if known and known[1] > time.time():
        return known[0]
    try:
        claims = jwt.decode(authorization[7:], keys[0].key, algorithms=["ES256"],
                            audience="travel")
    except Exception:
        raise HTTPException(401)
    tokens[authorization] = claims["sub"], claims["exp"]
    return claims["sub"]


@app.get("/cached")
async def cached(request: Request, limit: int = 20, authorization: str = Header("")):
    sub = caller(authorization)
    pipe = cache.pipeline(transaction=False)
    for key in "ip:" + request.client.host, "user:" + sub:
        for window in 60, 3600, 10:
            pipe.incr(f"{key}{window}")
            pipe.expire(f"{key}{window}", window)
    pipe.get(f"page:{sub}:{limit}")
    answers = await pipe.execute()
    if answers[0] > 1e9:
        raise HTTPException(429)
    left = str(10**9 - answers[6])
    return Response(answers[12], media_type="application/json", headers={
        "Cache-Control": "private, no-cache",
        "RateLimit": f'"user-60";r={left};t=60', "X-RateLimit-Remaining": left})


@app.post("/command", status_code=202)
async def command(booking: Booking, response: Response,
                  authorization: str = Header("")):
    sub = caller(authorization)
    job = str(uuid.uuid4())
    pipe = queue.pipeline(transaction=False)
    pipe.hset("travel:{booking.0}:job:" + job, mapping={
        "status": "queued", "type": "booking.create", "sub": sub, "at": time.time()})
    pipe.xadd("travel:{booking.0}:normal", {
        "id": job, "type": "booking.create", "sub": sub, "body": booking.json()})
    await pipe.execute()
    response.headers["Location"] = "/api/v1/bookings/" + job
    return {"id": job, "status": "pending"}
