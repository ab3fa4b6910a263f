"""Send a table to the programs on the desk (TOPCAT, Aladin, DS9) over SAMP."""

from __future__ import annotations

from pathlib import Path

from ..errors import OutputError


def send_votable(path: str | Path, name: str = "fermi_unek") -> int:
    """Send a VOTable file to all programs of the running SAMP hub that load tables.

    Parameters
    ----------
    path : str or Path
        VOTable file; it must stay, the programs read it themselves.
    name : str
        What the programs call the table.

    Returns
    -------
    int
        Number of programs it was sent to.

    Raises
    ------
    OutputError
        When no hub is running.
    """
    from astropy.samp import SAMPHubError, SAMPIntegratedClient

    client = SAMPIntegratedClient(name="fermi-unek", callable=False)
    try:
        client.connect()
    except (SAMPHubError, OSError) as error:
        raise OutputError(
            f"no SAMP hub is running, start TOPCAT or Aladin first ({error})"
        ) from error
    try:
        message = {
            "samp.mtype": "table.load.votable",
            "samp.params": {
                "url": Path(path).resolve().as_uri(),
                "table-id": f"fermi_unek:{name}",
                "name": name,
            },
        }
        return len(client.notify_all(message))
    finally:
        client.disconnect()
