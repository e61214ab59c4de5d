"""The data of each command (contract, section 3), as Kafka and HTTP accept it. JSON Schemas come from these models.

A model checks and normalises the data; to_command turns it into the domain's command. Unknown fields are ignored,
unless the caller forbids them, as HTTP does.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from worker.domain import messages
from worker.domain.messages import AnyCommand
from worker.domain.values import Address, PreferencesPatch
from worker.wire import fields


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, hide_input_in_errors=True, use_enum_values=False
    )


class NotificationsData(_Part):
    """The notifications that the customer chooses, and their channels; an absent field stays as it is."""

    enabled_types: fields.EnabledTypes | None = None
    enabled_channels: fields.EnabledChannels | None = None


class PreferencesData(_Part):
    """A change of preferences; an absent field stays as it is."""

    marketing_emails: fields.Flag | None = None
    language: fields.Language | None = None
    currency: fields.Currency | None = None
    notifications: NotificationsData | None = None

    def to_patch(self) -> PreferencesPatch:
        """The domain's form, with the notifications unfolded."""
        chosen = self.notifications or NotificationsData()
        return PreferencesPatch(
            marketing_emails=self.marketing_emails,
            language=self.language,
            currency=self.currency,
            enabled_types=chosen.enabled_types,
            enabled_channels=chosen.enabled_channels,
        )


class AddressData(_Part):
    """A postal address."""

    street: fields.Line
    city: fields.Line
    zip_code: fields.ZipCode
    country: fields.Country

    def to_address(self) -> Address:
        """The domain's form."""
        return Address(self.street, self.city, self.zip_code, self.country)


class CommandData(_Part):
    """Base of the data of all commands."""

    command: ClassVar[type[AnyCommand]]

    def to_command(
        self,
        command_id: str,
        customer_id: str,
        issued_at: int,
        correlation_id: str | None = None,
        expected_version: int | None = None,
        actor: str | None = None,
    ) -> AnyCommand:
        """The domain's command. The arguments are the fields of worker.domain.messages.Command."""
        return self.command(
            command_id=command_id,
            customer_id=customer_id,
            issued_at=issued_at,
            correlation_id=correlation_id,
            expected_version=expected_version,
            actor=actor,
            **self._own_fields(),
        )

    def _own_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}


class RegisterCustomerData(CommandData):
    """Registers a customer, with a first address where one is given."""

    command = messages.RegisterCustomer
    name: fields.Name
    email: fields.Email
    phone: fields.Phone | None = None
    birth_date: fields.BirthDate | None = None
    address: AddressData | None = None
    preferences: PreferencesData | None = None

    def _own_fields(self) -> dict[str, Any]:
        return super()._own_fields() | {
            "address": self.address.to_address() if self.address else None,
            "preferences": self.preferences.to_patch() if self.preferences else None,
        }


class UpdateProfileData(CommandData):
    """Replaces name, email and phone; a null phone removes the phone."""

    command = messages.UpdateProfile
    name: fields.Name
    email: fields.Email
    phone: fields.Phone | None


class ChangeStatusData(CommandData):
    """Changes the customer's status."""

    command = messages.ChangeStatus
    new_status: fields.Status
    reason: fields.Reason


class AddDeliveryAddressData(CommandData):
    """Adds a delivery address; the first one is the default in any case."""

    command = messages.AddDeliveryAddress
    street: fields.Line
    city: fields.Line
    zip_code: fields.ZipCode
    country: fields.Country
    label: fields.Label | None = None
    is_default: fields.Flag | None = Field(False, description="Absent: false")

    def _own_fields(self) -> dict[str, Any]:
        address = Address(self.street, self.city, self.zip_code, self.country)
        return {"address": address, "label": self.label, "is_default": bool(self.is_default)}


class RemoveDeliveryAddressData(CommandData):
    """Removes a delivery address."""

    command = messages.RemoveDeliveryAddress
    address_id: fields.Id


class SetDefaultDeliveryAddressData(CommandData):
    """Makes a delivery address the default."""

    command = messages.SetDefaultDeliveryAddress
    address_id: fields.Id


class UpdatePreferencesData(PreferencesData, CommandData):
    """Changes preferences; an absent field stays as it is."""

    command = messages.UpdatePreferences

    def _own_fields(self) -> dict[str, Any]:
        return {"preferences": self.to_patch()}


class AddPaymentMethodData(CommandData):
    """Adds a payment method. A full card number is refused."""

    command = messages.AddPaymentMethod
    method_type: fields.MethodType = Field(alias="type")
    last4: fields.Last4
    provider: fields.Provider | None = None
    expiry: fields.Expiry | None = None


class RemovePaymentMethodData(CommandData):
    """Removes a payment method."""

    command = messages.RemovePaymentMethod
    payment_method_id: fields.Id


class RedeemPointsData(CommandData):
    """Redeems points, once per redemptionId."""

    command = messages.RedeemPoints
    points: fields.Points
    reason: fields.Reason
    redemption_id: fields.Id
    order_id: fields.Id | None = None


class CancelRedemptionData(CommandData):
    """Gives back all points of a redemption, once."""

    command = messages.CancelRedemption
    redemption_id: fields.Id
    reason: fields.Reason


class AdjustPointsData(CommandData):
    """Corrects the points by hand, once per adjustmentId."""

    command = messages.AdjustPoints
    points: fields.Adjustment
    reason: fields.Reason
    adjustment_id: fields.Id


class UpgradeMembershipData(CommandData):
    """Raises the level by hand; never a downgrade."""

    command = messages.UpgradeMembership
    new_level: fields.Level
    reason: fields.Reason


class EraseCustomerData(CommandData):
    """Erases the customer's personal data, for ever; spending and points stay."""

    command = messages.EraseCustomer
    reason: fields.Reason


COMMAND_MODELS: dict[str, type[CommandData]] = {
    model.command.__name__: model
    for model in (
        RegisterCustomerData,
        UpdateProfileData,
        ChangeStatusData,
        AddDeliveryAddressData,
        RemoveDeliveryAddressData,
        SetDefaultDeliveryAddressData,
        UpdatePreferencesData,
        AddPaymentMethodData,
        RemovePaymentMethodData,
        RedeemPointsData,
        CancelRedemptionData,
        AdjustPointsData,
        UpgradeMembershipData,
        EraseCustomerData,
    )
}
