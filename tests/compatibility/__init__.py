"""Every loss with every part of PML; what the tests prove becomes docs/compatibility.md."""
