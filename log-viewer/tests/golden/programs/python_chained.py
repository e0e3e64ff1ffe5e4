"""Logs, then dies of an error that another one caused."""

import logging

logging.basicConfig(format="%(levelname)s:%(name)s:%(message)s")


class Unhappy(Exception):
    pass


def read(settings):
    return settings["port"]


def start():
    try:
        read({})
    except KeyError as error:
        raise Unhappy("no settings") from error


print("before", flush=True)
try:
    start()
except Unhappy:
    logging.exception("will try again")
logging.warning("trying again")
try:
    start()
except Unhappy:
    raise RuntimeError
