"""Words that topics and payloads of sensors are made of, in lower case and without separators."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DIAGNOSTIC = _words(
    """battery batterylow batteryvoltage batterylevel linkquality lqi rssi snr lsnr signal
    signalstrength wifisignal wifi uptime uptimesec heap heapfree freeheap freememory loadavg sleep
    sleepmode mqttcount restarts restartreason linkcount downtime vcc channel freq frequencyplan
    fport fcnt port counter seq sequence msgid messageid packet packetid id deviceid serial sn mac
    imei eui version firmware hwversion swversion schema qos latitude longitude lat lon lng altitude
    interval devicetemperature poweroutagecount triggercount update diagnostics esp32 totalstarttime
    calibration"""
)
"""What tells how a device is, where it is or who it is; it measures nothing."""

QUANTITIES = _words(
    """temperature temp humidity pressure co2 voc pm25 pm10 illuminance lux light brightness power
    energy voltage current frequency flow level volume speed rpm torque vibration noise sound weight
    mass distance position rain rainfall wind windspeed radiation uv moisture ph conductivity
    turbidity oxygen consumption production gas water heat dewpoint total"""
)
"""What is measured."""

SECONDARY = _words(
    """total today yesterday period factor powerfactor apparentpower reactivepower energy
    energytotal energytoday energyyesterday energymonth totalenergy consumption count runtime"""
)
"""What only counts up, or follows from other numbers: seldom worth a forecast beside them."""

ROOMS = _words(
    """kitchen bathroom bath bedroom livingroom living office garage hall hallway attic basement
    cellar garden balcony terrace toilet corridor lobby laundry nursery study kueche bad wohnzimmer
    schlafzimmer keller flur garten"""
)

GENERIC = _words(
    """telemetry sensor state status value data measurement measurements reading readings json raw
    payload message event events up uplink"""
)
"""Levels that say what kind of message it is: they tell no stream from another."""
