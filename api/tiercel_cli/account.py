"""`tiercel user` and `tiercel token`: who may call the server, and with what."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import print_json, print_line, print_table

user_app = typer.Typer(
    help="Users of the server, for administrators: add, list, change, remove.",
    no_args_is_help=True,
    epilog="Say who you are by TIERCEL_TOKEN, or by TIERCEL_USER and TIERCEL_PASSWORD.",
)
token_app = typer.Typer(help="API tokens of your own: create, list, revoke.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
Password = Annotated[
    str,
    typer.Option(
        prompt=True,
        hide_input=True,
        confirmation_prompt=True,
        envvar="TIERCEL_NEW_PASSWORD",
        help="Asked for when not given; 8 characters or more.",
    ),
]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE[:NAMESPACE]",
        help="viewer, launcher, editor or admin; in a namespace and below, else everywhere.",
    ),
]


@user_app.command(
    epilog=examples(
        "tiercel user add ada --role admin",
        "tiercel user add ci --role launcher:shop --role viewer",
    )
)
def add(
    name: Name,
    password: Password,
    roles: Roles = None,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Make a user. The first one of a server is its administrator."""
    client = connect(server)
    body: dict[str, Any] = {"username": name, "password": password}
    if client.call("GET", "/setup")["done"]:
        user = client.call("POST", "/users", {**body, "roles": _grants(roles)})
    else:
        user = client.call("POST", "/setup", body)
    _show(user, as_json)


@user_app.command("list", epilog=examples("tiercel user list", "tiercel user list --json"))
def list_users(server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """List the users and their roles."""
    users = connect(server).call("GET", "/users?size=10000")["results"]
    if as_json:
        print_json(users)
        return
    rows = [[u["username"], _roles_text(u), "disabled" if u["disabled"] else ""] for u in users]
    print_table(["user", "roles", ""], rows)


@user_app.command(
    epilog=examples(
        "tiercel user change ci --role viewer:shop",
        "tiercel user change ci --disable",
        "tiercel user change ci --new-password",
    )
)
def change(
    name: Name,
    roles: Roles = None,
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Whether the user may log in.")
    ] = None,
    new_password: Annotated[bool, typer.Option(help="Ask for a new password.")] = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Change a user's roles, password, or whether it may log in. Ends its sessions."""
    body: dict[str, Any] = {}
    if roles:
        body["roles"] = _grants(roles)
    if disable is not None:
        body["disabled"] = disable
    if new_password:
        body["password"] = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not body:
        raise typer.BadParameter("say what to change: --role, --disable or --new-password")
    _show(connect(server).call("PATCH", f"/users/{quote(name, safe='')}", body), as_json)


@user_app.command(epilog=examples("tiercel user remove ci"))
def remove(name: Name, server: Server = SERVER_DEFAULT) -> None:
    """Remove a user and its tokens."""
    connect(server).call("DELETE", f"/users/{quote(name, safe='')}")
    print_line(f"{name} is removed.")


@token_app.command(
    epilog=examples(
        "tiercel token create ci --expires P90D", "tiercel token create shop --role launcher:shop"
    )
)
def create(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it holds: P90D."),
    ] = None,
    roles: Roles = None,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Make an API token and print it: it is not shown again."""
    body: dict[str, Any] = {"name": name, "roles": _grants(roles)}
    if expires is not None:
        body["maxAge"] = expires
    token = connect(server).call("POST", "/me/api-tokens", body)
    if as_json:
        print_json(token)
    else:
        print_line(token["fullToken"])


@token_app.command("list", epilog=examples("tiercel token list"))
def list_tokens(server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """List your tokens, without their secrets."""
    tokens = connect(server).call("GET", "/me/api-tokens")["results"]
    if as_json:
        print_json(tokens)
        return
    rows = [[t["id"], t["name"], t["exp"] or "never", _roles_text(t)] for t in tokens]
    print_table(["id", "name", "expires", "roles"], rows)


@token_app.command(epilog=examples("tiercel token revoke 0d5f…"))
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID")], server: Server = SERVER_DEFAULT
) -> None:
    """Take a token back, at once."""
    connect(server).call("DELETE", f"/me/api-tokens/{quote(token_id, safe='')}")
    print_line(f"{token_id} is revoked.")


def _grants(roles: list[str] | None) -> list[dict[str, str]]:
    grants = []
    for text in roles or []:
        role, _, namespace = text.partition(":")
        grants.append({"role": role, "namespace": namespace})
    return grants


def _roles_text(document: dict[str, Any]) -> str:
    rows = document["roles"]
    return ", ".join(r["role"] + (f":{r['namespace']}" if r["namespace"] else "") for r in rows)


def _show(user: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(user)
    else:
        print_line(f"{user['username']}: {_roles_text(user) or 'no roles'}")
