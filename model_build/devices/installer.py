"""What is typed on the device: its nucleus's configuration and the commands, for either runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model_build.devices.certificate import CERTIFICATE_FILE, KEY_FILE

Runtime = Literal["classic", "lite"]
CONFIGURATION_FILES: dict[Runtime, str] = {"classic": "config-classic.yaml", "lite": "config-lite.yaml"}
_ROOT_CA = "https://www.amazontrust.com/repository/AmazonRootCA1.pem"
_NUCLEUS = "https://d2s8p88vqu9w66.cloudfront.net/releases/greengrass-nucleus-latest.zip"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The account's hosts for messages and for credentials."""

    data: str
    credentials: str


def configuration(runtime: Runtime, *, thing: str, region: str, role_alias: str, endpoints: Endpoints) -> str:
    """The nucleus's first configuration (YAML)."""
    classic = runtime == "classic"
    folder = "/greengrass/v2" if classic else "/var/lib/greengrass/credentials"
    lines = [
        "system:",
        f'  privateKeyPath: "{folder}/{KEY_FILE}"',
        f'  certificateFilePath: "{folder}/{CERTIFICATE_FILE}"',
        f'  rootCaPath: "{folder}/AmazonRootCA1.pem"',
        '  rootpath: "/greengrass/v2"' if classic else '  rootPath: "/var/lib/greengrass"',
        f'  thingName: "{thing}"',
        "services:",
        f"  aws.greengrass.{'Nucleus' if classic else 'NucleusLite'}:",
        '    componentType: "NUCLEUS"',
        "    configuration:",
        f'      awsRegion: "{region}"',
        f'      iotRoleAlias: "{role_alias}"',
        f'      iotDataEndpoint: "{endpoints.data}"',
        f'      iotCredEndpoint: "{endpoints.credentials}"',
    ]
    if not classic:  # lite reads its configuration strictly: texts, and no defaults for these
        lines += [
            "      runWithDefault:",
            '        posixUser: "gg_component:gg_component"',
            '      greengrassDataPlanePort: "8443"',
            "      platformOverride: {}",
        ]
    return "\n".join(lines) + "\n"


def commands(runtime: Runtime, thing: str, folder: Path) -> str:
    """The lines to type on the device, in the folder that was copied there."""
    configured = CONFIGURATION_FILES[runtime]
    lines = [f"scp -r {folder} DEVICE:{thing} && ssh DEVICE; cd {thing}", f"curl -sSo AmazonRootCA1.pem {_ROOT_CA}"]
    if runtime == "classic":
        lines += [
            "sudo install -d -m 0755 /greengrass/v2",
            f"sudo install -m 0600 {KEY_FILE} {CERTIFICATE_FILE} AmazonRootCA1.pem /greengrass/v2/",
            f"curl -sSo nucleus.zip {_NUCLEUS} && unzip -qo nucleus.zip -d nucleus",
            "sudo -E java -Droot=/greengrass/v2 -Dlog.store=FILE -jar nucleus/lib/Greengrass.jar "
            f"--init-config {configured} --component-default-user ggc_user:ggc_group --setup-system-service true",
        ]
    else:
        lines += [
            "sudo apt-get install ./aws-greengrass-lite_*.deb   # from github.com/aws-greengrass/aws-greengrass-lite/releases",
            "sudo install -d -o ggcore -g ggcore -m 0700 /var/lib/greengrass/credentials",
            f"sudo install -o ggcore -g ggcore -m 0400 {KEY_FILE} {CERTIFICATE_FILE} AmazonRootCA1.pem /var/lib/greengrass/credentials/",
            f"sudo install -D -m 0644 {configured} /etc/greengrass/config.yaml",
            "sudo systemctl restart greengrass-lite.target",
        ]
    return "\n".join(f"  {line}" for line in lines)
