"""The Redis of the shared read copy."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from worker.doctor.findings import Finding, fault, ok, warning
from worker.settings import PREFIX

_OLDEST = (6, 0)
_ANSWERS_WITHIN_S = 3.0
_HARMLESS = "Until then reads fail while a customer's owner is away; nothing is lost."


async def redis(url: str) -> Finding:
    """Check that Redis can be reached, accepts us and is new enough. url: a secret, never part of the finding."""
    client = Redis.from_url(
        url,
        socket_timeout=_ANSWERS_WITHIN_S,
        socket_connect_timeout=_ANSWERS_WITHIN_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        version = str((await client.info("server"))["redis_version"])
    except (AuthenticationError, ResponseError) as error:
        return fault(
            "redis",
            f"Redis refuses the login ({type(error).__name__}).",
            f"Put its user and password into {PREFIX}REDIS_URL. {_HARMLESS}",
        )
    except (RedisError, OSError) as error:
        return fault(
            "redis",
            f"Redis does not answer ({type(error).__name__}).",
            f"Start it, or correct {PREFIX}REDIS_URL, or unset it. {_HARMLESS}",
        )
    finally:
        await client.aclose()
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return warning(
            "redis",
            f"Redis is {version}.",
            "The read copy is tested with Redis 6.2; use that or a newer one.",
        )
    return ok("redis", f"Redis {version} answers.")
