//! The iSCSI VCP: initiator and TCP/IP stack as one component.
