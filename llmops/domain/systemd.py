"""What rendered units ask of systemd."""

DIRECTIVES = (
    "After", "AmbientCapabilities", "AssertPathExists", "Before", "CPUAffinity", "CacheDirectory",
    "CacheDirectoryMode", "CapabilityBoundingSet", "Conflicts", "DefaultDependencies", "Description",
    "DeviceAllow", "DevicePolicy", "Environment", "EnvironmentFile",
    "ExecReload", "ExecStart", "ExecStartPost", "ExecStartPre", "Group", "IPAddressAllow", "IPAddressDeny",
    "KeyringMode", "KillMode", "KillSignal", "LimitCORE", "LimitMEMLOCK", "LimitNOFILE", "LoadCredential",
    "LockPersonality", "MemoryDenyWriteExecute", "MemoryMax", "MemorySwapMax", "NUMAMask", "NUMAPolicy",
    "NoNewPrivileges", "OOMPolicy", "OOMScoreAdjust", "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateNetwork",
    "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectClock", "ProtectControlGroups", "ProtectHome",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc",
    "ProtectSystem", "ReadWritePaths", "RemainAfterExit", "RemoveIPC", "Requires", "RequiresMountsFor", "Restart",
    "RestartMaxDelaySec", "RestartSec", "RestartSteps", "RestrictAddressFamilies", "RestrictNamespaces",
    "RestrictRealtime", "RestrictSUIDSGID", "RuntimeDirectory", "RuntimeDirectoryMode", "Slice", "StartLimitBurst",
    "StartLimitIntervalSec", "StateDirectory", "StateDirectoryMode", "SupplementaryGroups", "SystemCallArchitectures",
    "SystemCallErrorNumber", "SystemCallFilter", "TasksMax", "TimeoutSec", "TimeoutStartSec", "TimeoutStopSec", "Type", "UMask",
    "User", "WantedBy", "Wants", "What", "WorkingDirectory",
)  # fmt: skip
"""Every directive of a rendered unit or slice. One that a host's systemd does not know is passed over with a warning."""
